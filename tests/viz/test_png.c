/* PNG: what is written is read back by a small reader of our own, chunk by chunk and pixel by
 * pixel. */
#include "viz/draw/png.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <zlib.h>

#include "tests/scratch.h"

#define WIDTH  15
#define HEIGHT 7
#define STRIDE (1 + 3 * WIDTH) /* filter byte, RGB */

/* What a reader of our own finds in the file. */
typedef struct {
    uint8_t packed[4096];
    size_t packed_bytes;
    char texts[512]; /* "Title=a title;" ... */
    uint8_t rows[HEIGHT * STRIDE];
} png_content;

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void take_text(png_content *c, const uint8_t *data, size_t length, size_t skipped)
{
    const char *keyword = (const char *)data;
    const size_t at = strlen(keyword) + 1 + skipped;
    const size_t used = strlen(c->texts);
    (void)snprintf(c->texts + used, sizeof c->texts - used, "%s=%.*s;", keyword,
                   (int)(length - at), (const char *)data + at);
}

static void take_chunk(png_content *c, const uint8_t *type, uint32_t length)
{
    assert_int_equal(crc32(0, type, length + 4), be32(type + 4 + length));
    if (memcmp(type, "IDAT", 4) == 0) {
        assert_true(c->packed_bytes + length <= sizeof c->packed);
        memcpy(c->packed + c->packed_bytes, type + 4, length);
        c->packed_bytes += length;
    } else if (memcmp(type, "tEXt", 4) == 0) {
        take_text(c, type + 4, length, 0);
    } else if (memcmp(type, "iTXt", 4) == 0) {
        take_text(c, type + 4, length, 4);
    } else if (memcmp(type, "IHDR", 4) == 0) {
        assert_int_equal(be32(type + 4), WIDTH);
        assert_int_equal(be32(type + 8), HEIGHT);
        assert_memory_equal(type + 12, "\x08\x02\x00\x00\x00", 5); /* 8 bits, RGB */
    }
}

/* PNG specification [9.4]: the predictor nearest to left + up - corner. */
static uint8_t paeth(int left, int up, int corner)
{
    const int p = left + up - corner;
    const int a = abs(p - left);
    const int b = abs(p - up);
    const int c = abs(p - corner);
    return (uint8_t)(a <= b && a <= c ? left : b <= c ? up : corner);
}

static void unfilter(uint8_t *rows)
{
    for (int y = 0; y < HEIGHT; y++) {
        uint8_t *row = rows + (ptrdiff_t)y * STRIDE;
        const uint8_t filter = row[0];
        assert_in_range(filter, 0, 4);
        for (int i = 1; i < STRIDE; i++) {
            const int left = i > 3 ? row[i - 3] : 0;
            const int up = y > 0 ? row[i - STRIDE] : 0;
            const int corner = i > 3 && y > 0 ? row[i - 3 - STRIDE] : 0;
            const int add[5] = {0, left, up, (left + up) / 2, paeth(left, up, corner)};
            row[i] = (uint8_t)(row[i] + add[filter]);
        }
    }
}

static void read_png(const char *path, png_content *c)
{
    vs_err err = {0};
    vs_file file;
    *c = (png_content){.packed_bytes = 0};
    if (!vs_file_open(&file, path, &err)) {
        scratch_fail(&err);
    }
    assert_memory_equal(file.bytes, "\x89PNG\r\n\x1a\n", 8);
    uint64_t at = 8;
    while (at < file.size_bytes) {
        const uint32_t length = be32(file.bytes + at);
        assert_true(at + 12 + length <= file.size_bytes);
        take_chunk(c, file.bytes + at + 4, length);
        at += 12 + (uint64_t)length;
    }
    uLongf unpacked = sizeof c->rows;
    assert_int_equal(uncompress(c->rows, &unpacked, c->packed, c->packed_bytes), Z_OK);
    assert_int_equal(unpacked, sizeof c->rows);
    unfilter(c->rows);
    vs_file_close(&file);
}

static void pixels_and_texts_read_back(void **state)
{
    scratch *s = *state;
    uint32_t pixels[WIDTH * HEIGHT];
    vs_err err = {0};
    for (uint32_t i = 0; i < WIDTH * HEIGHT; i++) {
        pixels[i] = VS_RGB(0) | (i * UINT32_C(2654435761) & 0xFFFFFFu);
    }
    const vs_surface surface = {pixels, WIDTH, HEIGHT};
    const vs_png_text texts[] = {
        {"Title", "a title"}, {"Comment", "\xED\x95\x9C"}, {"None", NULL}};
    const char *path = scratch_path(s, "a.png");
    if (!vs_png_write(path, &surface, texts, 3, &err)) {
        scratch_fail(&err);
    }
    png_content content;
    read_png(path, &content);
    assert_string_equal(content.texts, "Title=a title;Comment=\xED\x95\x9C;");
    for (size_t i = 0; i < (size_t)WIDTH * HEIGHT; i++) {
        const uint8_t *rgb = content.rows + i / WIDTH * STRIDE + 1 + i % WIDTH * 3;
        const uint32_t got = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
        assert_int_equal(got, pixels[i] & 0xFFFFFFu);
    }
}

static void a_directory_that_is_not_there_is_an_error(void **state)
{
    scratch *s = *state;
    uint32_t pixel = VS_RGB(0);
    const vs_surface surface = {&pixel, 1, 1};
    vs_err err = {0};
    char path[200];
    (void)snprintf(path, sizeof path, "%s/none/a.png", s->dir);
    assert_false(vs_png_write(path, &surface, NULL, 0, &err));
    assert_error_says(&err, "none/a.png");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pixels_and_texts_read_back, scratch_open,
                                        scratch_close),
        cmocka_unit_test_setup_teardown(a_directory_that_is_not_there_is_an_error, scratch_open,
                                        scratch_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
