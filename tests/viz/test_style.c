/* Colours: any two categories that can meet in one pane can be told apart, also without one
 * kind of cone.
 *
 * CIEDE2000: Sharma, Wu, Dalal, "The CIEDE2000 Color-Difference Formula", Color Research &
 * Application 30 (2005), whose test data are checked first. Dichromacies: Machado, Oliveira,
 * Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", IEEE
 * TVCG 15 (2009), table of matrices, severity 1.0, applied to linear RGB. sRGB to CIELAB: IEC
 * 61966-2-1, white point D65. */
#include "viz/ui/style.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LEAST 12.0 /* VIEWER-design section 6 */
#define PI    3.14159265358979323846

typedef struct {
    double l, a, b;
} lab;

typedef double matrix[3][3];

static const matrix sights[4] = {
    {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
    /* protanopia */
    {{0.152286, 1.052583, -0.204868},
     {0.114503, 0.786281, 0.099216},
     {-0.003882, -0.048116, 1.051998}},
    /* deuteranopia */
    {{0.367322, 0.860646, -0.227968},
     {0.280085, 0.672501, 0.047413},
     {-0.011820, 0.042940, 0.968881}},
    /* tritanopia */
    {{1.255528, -0.076749, -0.178779},
     {-0.078411, 0.930809, 0.147602},
     {0.004733, 0.691367, 0.303900}},
};

static const char *const sight_names[4] = {"normal sight", "protanopia", "deuteranopia",
                                           "tritanopia"};

static void transform(const matrix m, const double in[3], double out[3])
{
    for (int i = 0; i < 3; i++) {
        out[i] = m[i][0] * in[0] + m[i][1] * in[1] + m[i][2] * in[2];
    }
}

static double linear(uint32_t channel)
{
    const double v = channel / 255.0;
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static double lab_f(double t)
{
    return t > 216.0 / 24389.0 ? cbrt(t) : (24389.0 / 27.0 * t + 16.0) / 116.0;
}

static lab lab_of(vs_color color, const matrix sight)
{
    static const matrix to_xyz = {{0.4124564, 0.3575761, 0.1804375},
                                  {0.2126729, 0.7151522, 0.0721750},
                                  {0.0193339, 0.1191920, 0.9503041}};
    const double rgb[3] = {linear(color >> 16 & 255u), linear(color >> 8 & 255u),
                           linear(color & 255u)};
    double seen[3];
    double xyz[3];
    transform(sight, rgb, seen);
    for (int i = 0; i < 3; i++) {
        seen[i] = seen[i] < 0 ? 0 : seen[i] > 1 ? 1 : seen[i];
    }
    transform(to_xyz, seen, xyz);
    const double fx = lab_f(xyz[0] / 0.95047);
    const double fy = lab_f(xyz[1]);
    const double fz = lab_f(xyz[2] / 1.08883);
    return (lab){116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)};
}

static double hue_of(double a, double b)
{
    const double h = a == 0 && b == 0 ? 0 : atan2(b, a);
    return h < 0 ? h + 2 * PI : h;
}

static double ciede2000(lab x, lab y)
{
    const double pow25 = pow(25, 7);
    const double c_mean = (hypot(x.a, x.b) + hypot(y.a, y.b)) / 2;
    const double g = 0.5 * (1 - sqrt(pow(c_mean, 7) / (pow(c_mean, 7) + pow25)));
    const double a1 = x.a * (1 + g);
    const double a2 = y.a * (1 + g);
    const double c1 = hypot(a1, x.b);
    const double c2 = hypot(a2, y.b);
    const double h1 = hue_of(a1, x.b);
    const double h2 = hue_of(a2, y.b);
    double dh = c1 * c2 == 0 ? 0 : h2 - h1;
    dh = dh > PI ? dh - 2 * PI : dh < -PI ? dh + 2 * PI : dh;
    double h_mean = h1 + h2;
    if (c1 * c2 != 0) {
        h_mean = fabs(h1 - h2) <= PI ? h_mean / 2
                 : h_mean < 2 * PI   ? h_mean / 2 + PI
                                     : h_mean / 2 - PI;
    }
    const double dl = y.l - x.l;
    const double dc = c2 - c1;
    const double dhh = 2 * sqrt(c1 * c2) * sin(dh / 2);
    const double l_mean = (x.l + y.l) / 2;
    const double cm = (c1 + c2) / 2;
    const double t = 1 - 0.17 * cos(h_mean - PI / 6) + 0.24 * cos(2 * h_mean) +
                     0.32 * cos(3 * h_mean + PI / 30) - 0.20 * cos(4 * h_mean - 63 * PI / 180);
    const double turn = (h_mean * 180 / PI - 275) / 25;
    const double theta = PI / 6 * exp(-turn * turn);
    const double rc = 2 * sqrt(pow(cm, 7) / (pow(cm, 7) + pow25));
    const double l50 = (l_mean - 50) * (l_mean - 50);
    const double sl = 1 + 0.015 * l50 / sqrt(20 + l50);
    const double sc = 1 + 0.045 * cm;
    const double sh = 1 + 0.015 * cm * t;
    const double rt = -sin(2 * theta) * rc;
    return sqrt(dl / sl * dl / sl + dc / sc * dc / sc + dhh / sh * dhh / sh +
                rt * dc / sc * dhh / sh);
}

static void the_formula_gives_the_published_values(void **state)
{
    (void)state;

    static const struct {
        lab x, y;
        double distance;
    } published[] = {
        {{50.0000, 2.6772, -79.7751}, {50.0000, 0.0000, -82.7485}, 2.0425},
        {{50.0000, -1.3802, -84.2814}, {50.0000, 0.0000, -82.7485}, 1.0000},
        {{50.0000, 0.0000, 0.0000}, {50.0000, -1.0000, 2.0000}, 2.3669},
        {{50.0000, 2.4900, -0.0010}, {50.0000, -2.4900, 0.0009}, 7.1792},
        {{50.0000, 2.5000, 0.0000}, {73.0000, 25.0000, -18.0000}, 27.1492},
        {{60.2574, -34.0099, 36.2677}, {60.4626, -34.1751, 39.4387}, 1.2644},
        {{22.7233, 20.0904, -46.6940}, {23.0331, 14.9730, -42.5619}, 2.0373},
        {{2.0776, 0.0795, -1.1350}, {0.9033, -0.0636, -0.5514}, 0.9082},
    };

    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const double got = ciede2000(published[i].x, published[i].y);
        assert_true(fabs(got - published[i].distance) < 0.00005);
    }
}

/* Categories that can appear in one pane. `other` has the colour of the context and a hatch. */
static const vs_category gpu_pane[] = {VS_CAT_CONTEXT, VS_CAT_W_FP32, VS_CAT_W_16,
                                       VS_CAT_W_FP8,   VS_CAT_Q_INT8, VS_CAT_Q_4BIT,
                                       VS_CAT_KV,      VS_CAT_ACT,    VS_CAT_TENSOR,
                                       VS_CAT_STAGING, VS_CAT_SLACK,  VS_CAT_RESFREE};
static const vs_category host_pane[] = {VS_CAT_PINNED, VS_CAT_PAGECACHE, VS_CAT_HOSTHEAP,
                                        VS_CAT_W_FP32, VS_CAT_W_16,      VS_CAT_W_FP8,
                                        VS_CAT_Q_INT8, VS_CAT_Q_4BIT,    VS_CAT_TENSOR};

static double least_distance(const vs_style *style, const vs_category *pane, size_t count)
{
    double least = 1000;
    for (size_t n = 0; n < 4 * count * count; n++) {
        const size_t s = n % 4;
        const vs_category a = pane[n / 4 / count];
        const vs_category b = pane[n / 4 % count];
        if (a <= b) {
            continue;
        }
        const double d = ciede2000(lab_of(style->categories[a].fill.color, sights[s]),
                                   lab_of(style->categories[b].fill.color, sights[s]));
        if (d < LEAST) {
            fail_msg("%s and %s differ by %.2f (%s)", vs_category_key(a), vs_category_key(b), d,
                     sight_names[s]);
        }
        least = d < least ? d : least;
    }
    return least;
}

static void categories_of_one_pane_differ_for_every_kind_of_sight(void **state)
{
    (void)state;
    for (int t = 0; t < VS_THEME_COUNT; t++) {
        const vs_style *style = vs_style_of((vs_theme)t);
        const double gpu =
            least_distance(style, gpu_pane, sizeof gpu_pane / sizeof gpu_pane[0]);
        const double host =
            least_distance(style, host_pane, sizeof host_pane / sizeof host_pane[0]);
        print_message("%s: least distance %.2f on the card, %.2f in RAM\n",
                      vs_theme_name((vs_theme)t), gpu, host);
    }
}

static double luminance(vs_color c)
{
    return 0.2126 * linear(c >> 16 & 255u) + 0.7152 * linear(c >> 8 & 255u) +
           0.0722 * linear(c & 255u);
}

/* WCAG 2.1, contrast ratio. */
static double contrast(vs_color a, vs_color b)
{
    const double la = luminance(a);
    const double lb = luminance(b);
    return la > lb ? (la + 0.05) / (lb + 0.05) : (lb + 0.05) / (la + 0.05);
}

static void text_can_be_read_on_what_it_stands_on(void **state)
{
    (void)state;
    for (int t = 0; t < VS_THEME_COUNT; t++) {
        const vs_style *s = vs_style_of((vs_theme)t);
        assert_true(contrast(s->text, s->window) >= 7);
        assert_true(contrast(s->text, s->plot) >= 7);
        assert_true(contrast(s->dim, s->window) >= 4.5);
        assert_true(contrast(s->capacity, s->plot) >= 7);
        assert_true(contrast(s->oom_text, s->oom) >= 3.9);
        assert_true(contrast(s->ok_text, s->ok) >= 4.5);
        for (int i = 0; i < VS_CAT_COUNT; i++) {
            assert_true(contrast(s->categories[i].text, s->categories[i].fill.color) >= 3.5);
        }
    }
}

static void every_category_has_a_place_in_the_stack_and_a_colour(void **state)
{
    (void)state;
    int seen[VS_CAT_COUNT] = {0};
    for (int i = 0; i < VS_CAT_COUNT; i++) {
        seen[vs_stack_order[i]]++;
    }
    for (int i = 0; i < VS_CAT_COUNT; i++) {
        assert_int_equal(seen[i], 1);
        for (int t = 0; t < VS_THEME_COUNT; t++) {
            const vs_category_style *c = &vs_style_of((vs_theme)t)->categories[i];
            assert_int_equal(c->fill.color >> 24, 255);
            assert_int_equal(c->seam >> 24, 255);
        }
    }
    assert_int_equal(vs_style_of(VS_THEME_DARK)->categories[VS_CAT_STAGING].fill.hatch,
                     VS_HATCH_DIAGONAL);
    assert_int_equal(vs_style_of(VS_THEME_DARK)->categories[VS_CAT_OTHER].fill.hatch,
                     VS_HATCH_VERTICAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_formula_gives_the_published_values),
        cmocka_unit_test(categories_of_one_pane_differ_for_every_kind_of_sight),
        cmocka_unit_test(text_can_be_read_on_what_it_stands_on),
        cmocka_unit_test(every_category_has_a_place_in_the_stack_and_a_colour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
