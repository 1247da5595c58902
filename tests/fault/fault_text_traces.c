/* tests/fault/fault_text_traces.c - recordings that are text: cut at every byte, with every bit turned, bytes that mean
 * something in place of others, and without memory. What is accepted goes onto a tape, whose every derived figure is checked. */
#include "tests/support/trace_text.h"

typedef struct {
    const char *name;
    vs_reader reader;
    const char *text;
} sample;

static const sample samples[] = {
    {"chrome", read_chrome,
     "{\"deviceProperties\":[{\"id\":0,\"name\":\"L4\",\"totalGlobalMem\":24152899584}],"
     "\"traceEvents\":[{\"ph\":\"i\",\"name\":\"[memory]\",\"tid\":1,\"ts\":3.5,\"args\":{"
     "\"Device Type\":1,\"Device Id\":0,\"Addr\":512,\"Bytes\":1024,\"Total Allocated\":2048,"
     "\"Total "
     "Reserved\":4096}},{\"ph\":\"i\",\"name\":\"[memory]\",\"tid\":2,\"ts\":2,\"args\":{"
     "\"Device Type\":1,\"Device Id\":0,\"Addr\":512,\"Bytes\":-1024,\"Total Allocated\":1024,"
     "\"Total Reserved\":4096}},{\"ph\":\"X\",\"cat\":\"gpu_memcpy\",\"ts\":1,\"dur\":2,"
     "\"name\":\"Memcpy HtoD (Pinned -> Device)\",\"args\":{\"bytes\":9,\"stream\":7}},"
     "{\"ph\":\"X\",\"cat\":\"user_annotation\",\"ts\":1,\"dur\":2,\"name\":\"s\\\"\\u0041\"}],"
     "\"baseTimeNanoseconds\":1727000000000000000}"},
    {"own", read_chrome,
     "[{\"ph\":\"C\",\"name\":\"memory\",\"pid\":1,\"ts\":0.001,\"args\":{\"other\":5,"
     "\"frag\":1}},{\"ph\":\"i\",\"name\":\"x\",\"pid\":1,\"ts\":1,\"args\":{\"kind\":\"oom\"}}"
     "]"},
    {"raw timeline", read_timeline,
     "[[-1,1,64,0],[7,2,32,4],[8,3,-64,0],[8,3,64,5],[9,4,-32,4]]"},
    {"timeline", read_timeline, "[[1,2],[[0,1,2,3,4,5,6,7,8],[0,1,2,3,4,5,6,7,9]]]"},
    {"rmm", read_rmm,
     "Thread,Time,Action,Pointer,Size,Stream\n1,10:00:01.5,allocate,0x100,16,0\n"
     "1,10:00:02.5,allocate failure,(nil),32,0x1\n1,10:00:03,free,0x100,16,0\n"},
    {"smi", read_smi,
     "timestamp, index, memory.used [MiB], memory.total [MiB]\n"
     "2024/01/31 12:34:56.789, 0, 12 MiB, 99 MiB\n2024/01/31 12:34:57.789, 1, 13 MiB, 99 "
     "MiB\n"},
    {"bare smi", read_smi, "0, 12\n1, 13\n0, 14\n"},
};

#define SAMPLES (sizeof samples / sizeof samples[0])

/* Accepted and shown, or refused with a reason. */
static bool survives(trace_text *t, const sample *s, const char *text, size_t size_bytes)
{
    vs_err err = {0};
    vs_timeline tl = {0};
    if (trace_text_try(t, s->reader, text, size_bytes, &err)) {
        vs_tape *const tape = vs_tape_new(&t->keep, NULL);
        assert_non_null(tape);
        if (vs_recording_to_tape(&t->rec, tape, &t->scratch, &err) &&
            vs_tape_seal(tape, &tl, &err)) {
            assert_true(vs_timeline_check(&tl, &err));
            return true;
        }
    }
    if (err.code == VS_OK || err.code == VS_ERR_INTERNAL || err.code == VS_ERR_MEMORY ||
        err.text[0] == '\0') {
        char line[1024] = {0};
        fail_msg("%s: %d: %s", s->name, (int)err.code, vs_err_line(&err, line, sizeof line));
    }
    return false;
}

static void every_truncation_is_survived(void **state)
{
    trace_text *t = *state;
    for (size_t s = 0; s < SAMPLES; s++) {
        const size_t whole = strlen(samples[s].text);
        size_t used = 0;
        for (size_t n = 0; n <= whole; n++) {
            used += survives(t, &samples[s], samples[s].text, n);
        }
        assert_true(used > 1); /* what is whole is used */
        assert_true(survives(t, &samples[s], samples[s].text, whole));
    }
}

static void every_changed_byte_is_survived(void **state)
{
    trace_text *t = *state;
    static const char meaningful[] = "\"\\{}[],:0-9.e \n\xff";
    for (size_t s = 0; s < SAMPLES; s++) {
        char broken[2048];
        const size_t whole = strlen(samples[s].text);
        assert_true(whole < sizeof broken);
        memcpy(broken, samples[s].text, whole + 1);
        size_t outcomes[2] = {0};
        for (size_t at = 0; at < whole; at++) {
            for (size_t k = 0; k < 8 + sizeof meaningful; k++) {
                const int value = k < 8 ? samples[s].text[at] ^ (1 << k) : meaningful[k - 8];
                broken[at] = (char)value;
                outcomes[survives(t, &samples[s], broken, whole)]++;
            }
            broken[at] = samples[s].text[at];
        }
        assert_true(outcomes[0] > 0 && outcomes[1] > 0);
    }
}

/* The n-th allocation fails, for every n: an error says so, and nothing else happens. */
static void every_failed_allocation_is_an_error(void **state)
{
    trace_text *t = *state;
    for (size_t s = 0; s < 2 * SAMPLES; s++) {
        const sample *const one = &samples[s / 2];
        vs_arena *const arena = s % 2 == 0 ? &t->keep : &t->scratch;
        bool is_done = false;
        for (uint64_t n = 1; !is_done; n++) {
            vs_err err = {0};
            vs_timeline tl = {0};
            assert_true(n < 1000);
            arena->fail_at = n;
            const bool is_read =
                trace_text_try(t, one->reader, one->text, strlen(one->text), &err);
            vs_tape *const tape = is_read ? vs_tape_new(&t->keep, NULL) : NULL;
            is_done = tape != NULL && vs_recording_to_tape(&t->rec, tape, &t->scratch, &err) &&
                      vs_tape_seal(tape, &tl, &err);
            assert_true(is_done || (is_read && tape == NULL) || err.code == VS_ERR_MEMORY);
        }
        arena->fail_at = 0;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_TEXT(every_truncation_is_survived),
        WITH_TEXT(every_changed_byte_is_survived),
        WITH_TEXT(every_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
