/* libpng's simplified interface encodes into memory and reports errors by value, so no setjmp
 * is needed here. It knows no tEXt chunks; those are spliced in behind IHDR, which the PNG
 * specification [5.6] puts first and whose chunk is always 25 bytes long after the 8 bytes of
 * the signature. */
#include "viz/draw/png.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define AFTER_IHDR  (8u + 25u)
#define KEYWORD_MAX 79u

static void put_be32(uint8_t *to, uint32_t value)
{
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

static bool is_ascii(const char *text)
{
    while (*text != '\0' && (uint8_t)*text < 0x80) {
        text++;
    }
    return *text == '\0';
}

/* One piece of a chunk: written and counted into its checksum. */
static uLong put_piece(vs_outfile *out, uLong crc, const char *bytes, size_t count)
{
    vs_outfile_write(out, bytes, count);
    return crc32(crc, (const Bytef *)bytes, (uInt)count);
}

/* tEXt is Latin-1; what is not ASCII goes into iTXt, which is UTF-8 and has, between keyword
 * and text, a flag and a method for compression (none), an empty language and an empty
 * translation. */
static void write_text(vs_outfile *out, const vs_png_text *text)
{
    const size_t keyword = strlen(text->keyword);
    const size_t length = strlen(text->text);
    const bool is_plain = is_ascii(text->text);
    const size_t fields = is_plain ? 0 : 4;
    vs_assert(keyword >= 1 && keyword <= KEYWORD_MAX && length < UINT32_MAX / 2);
    uint8_t word[4];
    put_be32(word, (uint32_t)(keyword + 1 + fields + length));
    vs_outfile_write(out, word, sizeof word);
    uLong crc = put_piece(out, 0, is_plain ? "tEXt" : "iTXt", 4);
    crc = put_piece(out, crc, text->keyword, keyword + 1); /* with its NUL, the separator */
    crc = put_piece(out, crc, "\0\0\0\0", fields);
    crc = put_piece(out, crc, text->text, length);
    put_be32(word, (uint32_t)crc);
    vs_outfile_write(out, word, sizeof word);
}

static void to_rgb(const vs_surface *surface, uint8_t *rgb)
{
    const size_t count = (size_t)surface->width * (size_t)surface->height;
    for (size_t i = 0; i < count; i++) {
        uint32_t pixel = surface->pixels[i];
        rgb[3 * i] = (uint8_t)(pixel >> 16);
        rgb[3 * i + 1] = (uint8_t)(pixel >> 8);
        rgb[3 * i + 2] = (uint8_t)pixel;
    }
}

/* Encodes rgb into a block of its own; *out_bytes holds its length. NULL on failure. */
static uint8_t *encode_rgb(const vs_surface *surface, const uint8_t *rgb, size_t *out_bytes,
                           vs_err *err)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (png_uint_32)surface->width,
                       .height = (png_uint_32)surface->height,
                       .format = PNG_FORMAT_RGB};
    png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(image);
    uint8_t *png = malloc(bytes);
    if (png != NULL && png_image_write_to_memory(&image, png, &bytes, 0, rgb, 0, NULL) != 0 &&
        bytes > AFTER_IHDR) {
        *out_bytes = bytes;
        return png;
    }
    vs_fail(err, VS_ERR_MEMORY, "a picture of %d x %d cannot be encoded: %s", surface->width,
            surface->height, image.message[0] != '\0' ? image.message : "out of memory");
    png_image_free(&image);
    free(png);
    return NULL;
}

static uint8_t *encode(const vs_surface *surface, size_t *out_bytes, vs_err *err)
{
    uint8_t *rgb = malloc((size_t)surface->width * (size_t)surface->height * 3);
    if (rgb == NULL) {
        vs_fail(err, VS_ERR_MEMORY, "out of memory for a picture of %d x %d", surface->width,
                surface->height);
        return NULL;
    }
    to_rgb(surface, rgb);
    uint8_t *png = encode_rgb(surface, rgb, out_bytes, err);
    free(rgb);
    return png;
}

bool vs_png_write(const char *path, const vs_surface *surface, const vs_png_text *texts,
                  uint32_t text_count, vs_err *err)
{
    size_t bytes = 0;
    uint8_t *png = encode(surface, &bytes, err);
    if (png == NULL) {
        return false;
    }
    vs_outfile *out = vs_outfile_open(path, err);
    if (out == NULL) {
        free(png);
        return false;
    }
    vs_outfile_write(out, png, AFTER_IHDR);
    for (uint32_t i = 0; i < text_count; i++) {
        if (texts[i].text != NULL && texts[i].text[0] != '\0') {
            write_text(out, &texts[i]);
        }
    }
    vs_outfile_write(out, png + AFTER_IHDR, bytes - AFTER_IHDR);
    free(png);
    return vs_outfile_commit(out, err);
}
