/* Faces are opened once; glyphs live in an arena of their own behind an open-addressing table
 * whose key packs weight, size and code point. Nothing is ever evicted: a session uses a few
 * hundred glyphs. */
#include "viz/draw/font.h"

#include <ft2build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include FT_FREETYPE_H

#define FACES_MAX         8
#define GLYPH_ARENA_BYTES ((size_t)64 << 20)
#define SLOTS_MIN         1024u
#define SIZE_MAX_PX       512

typedef struct {
    uint64_t key; /* 0: empty */
    vs_glyph glyph;
} slot;

struct vs_font {
    FT_Library library;
    /* 0 regular, 1 bold (may be the same), then those asked when both lack a glyph */
    FT_Face faces[FACES_MAX];
    uint32_t face_count;
    bool owns_bold;
    vs_arena arena;
    slot *slots;
    uint32_t slot_count; /* power of two */
    uint32_t used_count;
    vs_glyph nothing; /* when the arena is exhausted */
    char path[256];
};

/* Where Debian, Ubuntu, Fedora, Arch, Alpine and openSUSE put the fonts (package file lists of
 * fonts-dejavu-core, fonts-liberation, fonts-liberation2, fonts-noto-core, dejavu-sans-fonts,
 * ttf-dejavu). */
static const char *const regular_paths[] = {
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu-sans-fonts/DejaVuSans.ttf",
    "/usr/share/fonts/TTF/DejaVuSans.ttf",
    "/usr/share/fonts/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/DejaVuSans.ttf",
    "/usr/share/fonts/truetype/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/liberation2/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation-sans/LiberationSans-Regular.ttf",
    "/usr/share/fonts/liberation/LiberationSans-Regular.ttf",
    "/usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "/usr/share/fonts/noto/NotoSans-Regular.ttf",
};

static const char *const fallback_paths[] = {
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/nanum/NanumGothic.ttf",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
};

static bool is_readable(const char *path)
{
    return access(path, R_OK) == 0;
}

/* "X/Name.ttf" or "X/Name-Regular.ttf" -> "X/Name-Bold.ttf"; false when it does not fit. */
static bool bold_path(const char *regular, char *out, size_t out_bytes)
{
    const char *dot = strrchr(regular, '.');
    if (dot == NULL) {
        return false;
    }
    size_t stem = (size_t)(dot - regular);
    static const char suffix[] = "-Regular";
    const size_t suffix_len = sizeof suffix - 1;
    if (stem > suffix_len && strncmp(dot - suffix_len, suffix, suffix_len) == 0) {
        stem -= suffix_len;
    }
    if (stem + 6 + strlen(dot) > out_bytes) {
        return false;
    }
    (void)snprintf(out, out_bytes, "%.*s-Bold%s", (int)stem, regular, dot);
    return true;
}

static void open_faces(vs_font *font)
{
    char path[sizeof font->path + 8];
    font->faces[1] = font->faces[0];
    font->owns_bold = bold_path(font->path, path, sizeof path) && is_readable(path) &&
                      FT_New_Face(font->library, path, 0, &font->faces[1]) == 0;
    if (!font->owns_bold) {
        font->faces[1] = font->faces[0];
    }
    font->face_count = 2;
    const size_t count = sizeof fallback_paths / sizeof fallback_paths[0];
    for (size_t i = 0; i < count && font->face_count < FACES_MAX; i++) {
        if (strcmp(fallback_paths[i], font->path) == 0 || !is_readable(fallback_paths[i])) {
            continue;
        }
        if (FT_New_Face(font->library, fallback_paths[i], 0, &font->faces[font->face_count]) ==
            0) {
            font->face_count++;
        }
    }
}

static const char *find_font(void)
{
    for (size_t i = 0; i < sizeof regular_paths / sizeof regular_paths[0]; i++) {
        if (is_readable(regular_paths[i])) {
            return regular_paths[i];
        }
    }
    return NULL;
}

static bool open_regular(vs_font *font, const char *path, vs_err *err)
{
    const char *chosen = path != NULL ? path : find_font();
    if (chosen == NULL) {
        return vs_fail(err, VS_ERR_NOT_FOUND,
                       "no font found; install DejaVu Sans (Debian: apt-get install "
                       "fonts-dejavu-core) or name one with --font FILE.ttf");
    }
    if (strlen(chosen) >= sizeof font->path) {
        return vs_fail(err, VS_ERR_LIMIT, "the font's path is longer than %zu bytes",
                       sizeof font->path - 1);
    }
    (void)snprintf(font->path, sizeof font->path, "%s", chosen);
    if (FT_New_Face(font->library, chosen, 0, &font->faces[0]) != 0 ||
        !FT_IS_SCALABLE(font->faces[0])) {
        vs_fail(err, VS_ERR_FORMAT,
                "not a scalable font that FreeType can read; name a .ttf or .otf "
                "file with --font");
        vs_err_at_input(err, chosen);
        return false;
    }
    font->face_count = 1;
    return true;
}

vs_font *vs_font_open(const char *path, vs_err *err)
{
    vs_font *font = calloc(1, sizeof *font);
    if (font == NULL) {
        vs_fail(err, VS_ERR_MEMORY, "out of memory while opening a font");
        return NULL;
    }
    if (!vs_arena_open(&font->arena, GLYPH_ARENA_BYTES, err)) {
        free(font);
        return NULL;
    }
    font->slot_count = SLOTS_MIN;
    font->slots = VS_ARRAY(&font->arena, slot, SLOTS_MIN);
    if (font->slots == NULL || FT_Init_FreeType(&font->library) != 0) {
        vs_fail(err, VS_ERR_MEMORY, "FreeType cannot start: out of memory");
        vs_font_close(font);
        return NULL;
    }
    if (!open_regular(font, path, err)) {
        vs_font_close(font);
        return NULL;
    }
    open_faces(font);
    return font;
}

void vs_font_close(vs_font *font)
{
    if (font == NULL) {
        return;
    }
    for (uint32_t i = 0; i < FACES_MAX; i++) {
        if (font->faces[i] != NULL && (i != 1 || font->owns_bold)) {
            FT_Done_Face(font->faces[i]);
        }
    }
    if (font->library != NULL) {
        FT_Done_FreeType(font->library);
    }
    vs_arena_close(&font->arena);
    free(font);
}

const char *vs_font_path(const vs_font *font)
{
    return font->path;
}

/* ---- glyphs ------------------------------------------------------------------------------ */

static FT_Face face_with(const vs_font *font, bool is_bold, uint32_t code_point,
                         FT_UInt *out_index)
{
    FT_Face first = font->faces[is_bold ? 1 : 0];
    *out_index = FT_Get_Char_Index(first, code_point);
    for (uint32_t i = 2; *out_index == 0 && i < font->face_count; i++) {
        *out_index = FT_Get_Char_Index(font->faces[i], code_point);
        if (*out_index != 0) {
            return font->faces[i];
        }
    }
    return first;
}

static void copy_bitmap(uint8_t *to, const FT_Bitmap *bitmap)
{
    for (unsigned row = 0; row < bitmap->rows; row++) {
        const uint8_t *from = bitmap->buffer + (ptrdiff_t)row * bitmap->pitch;
        memcpy(to + (size_t)row * bitmap->width, from, bitmap->width);
    }
}

static bool render(vs_font *font, int32_t size_px, bool is_bold, uint32_t code_point,
                   vs_glyph *out)
{
    FT_UInt index = 0;
    FT_Face face = face_with(font, is_bold, code_point, &index);
    const FT_Int32 flags = FT_LOAD_RENDER | FT_LOAD_FORCE_AUTOHINT | FT_LOAD_TARGET_LIGHT;
    if (FT_Set_Pixel_Sizes(face, 0, (FT_UInt)size_px) != 0 ||
        FT_Load_Glyph(face, index, flags) != 0) {
        return false;
    }
    const FT_GlyphSlot g = face->glyph;
    const FT_Bitmap *bitmap = &g->bitmap;
    if (bitmap->width > 0 && bitmap->pixel_mode != FT_PIXEL_MODE_GRAY) {
        return false;
    }
    uint8_t *bytes = vs_arena_array(&font->arena, bitmap->rows, bitmap->width, 1);
    if (bytes == NULL) {
        return false;
    }
    copy_bitmap(bytes, bitmap);
    *out = (vs_glyph){.coverage = bytes,
                      .left = g->bitmap_left,
                      .top = g->bitmap_top,
                      .width = (int32_t)bitmap->width,
                      .rows = (int32_t)bitmap->rows,
                      .advance_px = (int32_t)((g->advance.x + 32) >> 6)};
    return true;
}

static slot *probe(slot *slots, uint32_t slot_count, uint64_t key)
{
    uint64_t hash =
        key * UINT64_C(0x9E3779B97F4A7C15); /* Knuth's golden ratio multiplier, 64 bits */
    uint32_t at = (uint32_t)(hash >> 40) & (slot_count - 1);
    while (slots[at].key != 0 && slots[at].key != key) {
        at = (at + 1) & (slot_count - 1);
    }
    return &slots[at];
}

static bool grow(vs_font *font)
{
    uint32_t count = font->slot_count * 2;
    slot *slots = VS_ARRAY(&font->arena, slot, count);
    if (slots == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < font->slot_count; i++) {
        if (font->slots[i].key != 0) {
            *probe(slots, count, font->slots[i].key) = font->slots[i];
        }
    }
    font->slots = slots;
    font->slot_count = count;
    return true;
}

const vs_glyph *vs_font_glyph(vs_font *font, int32_t size_px, bool is_bold, uint32_t code_point)
{
    vs_assert(size_px > 0 && size_px <= SIZE_MAX_PX);
    const uint64_t key = (UINT64_C(1) << 63) | ((uint64_t)is_bold << 62) |
                         ((uint64_t)(uint32_t)size_px << 32) | code_point;
    slot *s = probe(font->slots, font->slot_count, key);
    if (s->key == key) {
        return &s->glyph;
    }
    vs_glyph glyph = {0};
    bool has_room = font->used_count * 2 < font->slot_count || grow(font);
    if (!has_room || !render(font, size_px, is_bold, code_point, &glyph)) {
        font->nothing.advance_px = size_px / 2;
        return &font->nothing;
    }
    s = probe(font->slots, font->slot_count, key);
    s->key = key;
    s->glyph = glyph;
    font->used_count++;
    return &s->glyph;
}

int32_t vs_font_width(vs_font *font, int32_t size_px, bool is_bold, vs_str text)
{
    int32_t width = 0;
    while (text.len > 0) {
        width += vs_font_glyph(font, size_px, is_bold, vs_utf8_next(&text))->advance_px;
    }
    return width;
}

static int32_t metrics_width(void *ctx, int32_t size_px, bool is_bold, vs_str text)
{
    return vs_font_width(ctx, size_px, is_bold, text);
}

vs_metrics vs_font_metrics(vs_font *font)
{
    return (vs_metrics){font, metrics_width};
}
