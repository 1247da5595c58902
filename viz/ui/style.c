/* The tables of VIEWER-design section 6. Fills, text colours and hatches are the design's; seams are the fill mixed
 * with 35 % black. `tensor` came later: of all colours that can be told from both plots it is the farthest from every other
 * category (13.2 at least, tests/viz/test_style.c), and without a hue, as what it stands for is not known. */
#include "viz/ui/style.h"

#define BLACK           VS_RGB(0x101418)
#define WHITE           VS_RGB(0xFFFFFF)
#define INK(alpha, hex) (((uint32_t)(alpha) << 24) | UINT32_C(hex))

/* One colour channel of a seam: 65 % of the fill's. */
#define SEAM_CHANNEL(hex, shift) (((((hex) >> (shift)) & 255u) * 65u / 100u) << (shift))
#define SEAM(hex)                                                                              \
    (UINT32_C(0xFF000000) | SEAM_CHANNEL(hex, 0) | SEAM_CHANNEL(hex, 8) | SEAM_CHANNEL(hex, 16))
#define PLAIN(hex, text_color)                                                                 \
    {                                                                                          \
        {VS_RGB(hex), VS_CLEAR, VS_HATCH_NONE}, text_color, VS_CLEAR, SEAM(hex)                \
    }
#define HATCHED(hex, hatch, ink, text_color)                                                   \
    {                                                                                          \
        {VS_RGB(hex), ink, hatch}, text_color, VS_CLEAR, SEAM(hex)                             \
    }
#define OUTLINED(hex, line)                                                                    \
    {                                                                                          \
        {VS_RGB(hex), VS_CLEAR, VS_HATCH_NONE}, BLACK, VS_RGB(line), VS_RGB(line)              \
    }

/* Categories that look the same in every theme. */
#define SHARED_CATEGORIES                                                                      \
    [VS_CAT_CONTEXT] = PLAIN(0x777E87, BLACK),                                                 \
    [VS_CAT_OTHER] = HATCHED(0x777E87, VS_HATCH_VERTICAL, INK(110, 0x000000), BLACK),          \
    [VS_CAT_W_FP32] = PLAIN(0x223FA4, WHITE), [VS_CAT_W_16] = PLAIN(0x166BE9, WHITE),          \
    [VS_CAT_Q_INT8] = PLAIN(0x157958, WHITE), [VS_CAT_Q_4BIT] = PLAIN(0x43B18C, BLACK),        \
    [VS_CAT_KV] = PLAIN(0xCB81C5, BLACK), [VS_CAT_TENSOR] = PLAIN(0x645A78, WHITE),            \
    [VS_CAT_STAGING] = HATCHED(0xE6710A, VS_HATCH_DIAGONAL, INK(80, 0x000000), BLACK),         \
    [VS_CAT_SLACK] = HATCHED(0x7B3A27, VS_HATCH_CROSS, INK(90, 0x000000), WHITE),              \
    [VS_CAT_PINNED] = PLAIN(0xA98DCE, BLACK), [VS_CAT_HOSTHEAP] = PLAIN(0xB3762D, BLACK)

#define DARK_CATEGORIES                                                                        \
    SHARED_CATEGORIES,                                                                         \
        [VS_CAT_W_FP8] = PLAIN(0xA6DDFC, BLACK), [VS_CAT_ACT] = PLAIN(0xF2EA39, BLACK),        \
        [VS_CAT_RESFREE] = {{VS_RGB(0x3A3F46), VS_RGB(0x9AA5B1), VS_HATCH_DOTS4},              \
                            WHITE,                                                             \
                            VS_RGB(0x6B7480),                                                  \
                            VS_RGB(0x6B7480)},                                                 \
        [VS_CAT_PAGECACHE] = HATCHED(0xE5DAA4, VS_HATCH_DOTS6, INK(130, 0x000000), BLACK)

#define LIGHT_CATEGORIES                                                                       \
    SHARED_CATEGORIES, [VS_CAT_W_FP8] = OUTLINED(0xA6DDFC, 0x5A6572),                          \
                       [VS_CAT_ACT] = OUTLINED(0xF2EA39, 0x5A6572),                            \
                       [VS_CAT_RESFREE] = {{VS_RGB(0xEAEBEC), VS_RGB(0x5A6572),                \
                                            VS_HATCH_DOTS4},                                   \
                                           BLACK,                                              \
                                           VS_RGB(0x5A6572),                                   \
                                           VS_RGB(0x5A6572)},                                  \
                       [VS_CAT_PAGECACHE] = {                                                  \
                           {VS_RGB(0xE5DAA4), INK(130, 0x000000), VS_HATCH_DOTS6},             \
                           BLACK,                                                              \
                           VS_RGB(0x5A6572),                                                   \
                           VS_RGB(0x5A6572)}

static const vs_style styles[VS_THEME_COUNT] = {
    [VS_THEME_DARK] = {.window = VS_RGB(0x12161C),
                       .panel = VS_RGB(0x1A2027),
                       .plot = VS_RGB(0x161B22),
                       .grid = VS_RGB(0x2A323C),
                       .text = VS_RGB(0xE6EAEE),
                       .dim = VS_RGB(0x9AA5B1),
                       .capacity = VS_RGB(0xFFFFFF),
                       .hover = VS_RGB(0x8FA3B8),
                       .cursor = VS_RGB(0xFFFFFF),
                       .oom = VS_RGB(0xFF4D2E),
                       .oom_text = BLACK,
                       .ok = VS_RGB(0x43B18C),
                       .ok_text = BLACK,
                       .warn = VS_RGB(0xFFD54A),
                       .warn_text = BLACK,
                       .above = VS_RGB(0x2F3843),
                       .run_a = VS_RGB(0x56B4E9),
                       .run_b = VS_RGB(0xE69F00),
                       .categories = {DARK_CATEGORIES}},
    [VS_THEME_LIGHT] = {.window = VS_RGB(0xFAFBFC),
                        .panel = VS_RGB(0xF0F2F5),
                        .plot = VS_RGB(0xFFFFFF),
                        .grid = VS_RGB(0xD5DAE1),
                        .text = VS_RGB(0x1B222B),
                        .dim = VS_RGB(0x5A6572),
                        .capacity = VS_RGB(0x101418),
                        .hover = VS_RGB(0x6B7C8F),
                        .cursor = VS_RGB(0x101418),
                        .oom = VS_RGB(0xC2260B),
                        .oom_text = WHITE,
                        .ok = VS_RGB(0x157958),
                        .ok_text = WHITE,
                        .warn = VS_RGB(0x8A5A00),
                        .warn_text = WHITE,
                        .above = VS_RGB(0xD9DEE5),
                        .run_a = VS_RGB(0x0072B2),
                        .run_b = VS_RGB(0xB36B00),
                        .categories = {LIGHT_CATEGORIES}},
    [VS_THEME_CONTRAST] = {.window = VS_RGB(0x000000),
                           .panel = VS_RGB(0x000000),
                           .plot = VS_RGB(0x000000),
                           .grid = VS_RGB(0x808080),
                           .text = VS_RGB(0xFFFFFF),
                           .dim = VS_RGB(0xFFFFFF),
                           .capacity = VS_RGB(0xFFFF00),
                           .hover = VS_RGB(0x00FFFF),
                           .cursor = VS_RGB(0xFFFFFF),
                           .oom = VS_RGB(0xFF0000),
                           .oom_text = WHITE,
                           .ok = VS_RGB(0x43B18C),
                           .ok_text = BLACK,
                           .warn = VS_RGB(0xFFFF00),
                           .warn_text = BLACK,
                           .above = VS_RGB(0x606060),
                           .run_a = VS_RGB(0x00FFFF),
                           .run_b = VS_RGB(0xFFA500),
                           .categories = {DARK_CATEGORIES}},
};

static const char *const theme_names[VS_THEME_COUNT] = {"dark", "light", "contrast"};

const vs_category vs_stack_order[VS_CAT_COUNT] = {
    VS_CAT_OTHER,   VS_CAT_CONTEXT, VS_CAT_W_FP32,   VS_CAT_W_16,
    VS_CAT_W_FP8,   VS_CAT_Q_INT8,  VS_CAT_Q_4BIT,   VS_CAT_KV,
    VS_CAT_ACT,     VS_CAT_TENSOR,  VS_CAT_STAGING,  VS_CAT_SLACK,
    VS_CAT_RESFREE, VS_CAT_PINNED,  VS_CAT_HOSTHEAP, VS_CAT_PAGECACHE,
};

const char *vs_theme_name(vs_theme theme)
{
    return theme_names[theme];
}

bool vs_theme_find(vs_str name, vs_theme *out)
{
    for (uint32_t i = 0; i < VS_THEME_COUNT; i++) {
        if (vs_str_is(name, theme_names[i])) {
            *out = (vs_theme)i;
            return true;
        }
    }
    return false;
}

const vs_style *vs_style_of(vs_theme theme)
{
    return &styles[theme];
}
