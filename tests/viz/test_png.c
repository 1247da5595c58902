/* PNG: what is written reads back pixel by pixel; texts; nothing half-written. */
#include "viz/draw/png.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <png.h>

#include "tests/scratch.h"

static void pixels_and_texts_read_back(void **state)
{
    scratch *s = *state;
    uint32_t pixels[15 * 7];
    vs_err err = {0};
    for (uint32_t i = 0; i < 15 * 7; i++) {
        pixels[i] = VS_RGB(0) | (i * 2654435761u & 0xFFFFFFu);
    }
    const vs_surface surface = {pixels, 15, 7};
    const vs_png_text texts[] = {
        {"Title", "a title"}, {"Comment", "\xED\x95\x9C"}, {"None", NULL}};
    const char *path = scratch_path(s, "a.png");
    if (!vs_png_write(path, &surface, texts, 3, &err)) {
        scratch_fail(&err);
    }

    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_int_equal(png_image_begin_read_from_file(&image, path), 1);
    assert_int_equal(image.width, 15);
    assert_int_equal(image.height, 7);
    image.format = PNG_FORMAT_RGB;
    uint8_t rgb[15 * 7 * 3];
    assert_int_equal(png_image_finish_read(&image, NULL, rgb, 0, NULL), 1);
    for (uint32_t i = 0; i < 15 * 7; i++) {
        const uint32_t got =
            (uint32_t)rgb[3 * i] << 16 | (uint32_t)rgb[3 * i + 1] << 8 | rgb[3 * i + 2];
        assert_int_equal(got, pixels[i] & 0xFFFFFFu);
    }
    /* Texts are checked with libpng's full reader, which also checks their checksums. */
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_read_info(png, info);
    png_textp read = NULL;
    assert_int_equal(png_get_text(png, info, &read, NULL), 2);
    assert_string_equal(read[0].key, "Title");
    assert_string_equal(read[0].text, "a title");
    assert_string_equal(read[1].key, "Comment");
    assert_string_equal(read[1].text, "\xED\x95\x9C");
    png_destroy_read_struct(&png, &info, NULL);
    assert_int_equal(fclose(file), 0);
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
