/* cli/replay.h - what cmd_replay.c works out and its two reports print. */
#ifndef VS_CLI_REPLAY_H
#define VS_CLI_REPLAY_H

#include "cli.h"

/* One setting of the ranking, sums over all devices. */
typedef struct {
    const char *alloc_conf; /* "": the defaults */
    vs_bytes peak_reserved;
    vs_bytes peak_allocated;
    vs_bytes peak_unused;
    uint32_t order; /* as tried */
    bool fits;      /* on the recorded card, if has_room */
} replay_setting;

#define REPLAY_SETTINGS_MAX 16u

typedef struct {
    const char *path;
    const vs_recording *rec;
    vs_replay_desc desc;
    vs_alloc_conf conf;
    const char *alloc_conf; /* as given, NULL: not */
    bool is_context_assumed;
    vs_replay_result result;
    replay_setting settings[REPLAY_SETTINGS_MAX];
    uint32_t setting_count; /* 0: not ranked */
    bool has_room;          /* the recording shows where its card ends */
} replay_run;

void replay_text(vs_outfile *out, const replay_run *run);
void replay_json(vs_jwriter *w, const replay_run *run);

#endif /* VS_CLI_REPLAY_H */
