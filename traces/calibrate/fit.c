/* traces/calibrate/fit.c - a line through times of copies, and a median, each with what it may be off.
 *
 * The line time = latency + bytes / rate is fitted to relative errors: a copy of 1 GiB that takes 1 % longer counts as much as one of
 * 1 MiB that does. It is an M-estimator with Tukey's biweight (c = 4.685: 95 % efficiency when errors are normal), solved by weighing
 * again and again, started from the median of slopes between pairs (Theil-Sen). Its error is Huber's asymptotic covariance (P. J.
 * Huber, Robust Statistics, 1981, section 7.6, the first of its three) times Student's t. Fewer than 20 points are too few to
 * tell an outlier from the rest (95 % intervals held the truth in 83 % of trials with 8), so then all count alike. */
#include "vramscope/calibrate.h"

#include <math.h>
#include <string.h>

#define BIWEIGHT       4.685
#define MAD_TO_SIGMA   1.4826 /* of a normal distribution */
#define ITERATIONS     60
#define PAIRED_POINTS  120u /* Theil-Sen looks at all pairs of at most so many */
#define LEAST_SPREAD   4.0 /* greatest size over smallest that tells the latency from the rate */
#define SMALLEST_SIGMA 1e-9
#define ROBUST_POINTS  20u
#define EVERYTHING     1e9 /* sigmas */

/* ---- order ------------------------------------------------------------------------------------------- */

/* Shell's sort with Ciura's gaps: no memory, no recursion, and 10,000 values are the most that come. */
static void sort_values(double *values, uint32_t count)
{
    static const uint32_t gaps[] = {
        54501, 24223, 10765, 4785, 2126, 945, 420,
        187,   83,    37,    16,   7,    3,   1}; /* OEIS A102549 and on */
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++) {
        for (uint32_t i = gaps[g]; i < count; i++) {
            const double value = values[i];
            uint32_t at = i;
            for (; at >= gaps[g] && values[at - gaps[g]] > value; at -= gaps[g]) {
                values[at] = values[at - gaps[g]];
            }
            values[at] = value;
        }
    }
}

static double middle(const double *sorted, uint32_t count)
{
    return count % 2 == 1 ? sorted[count / 2]
                          : (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0;
}

double vs_cal_median(double *values, uint32_t count, double *out_error, bool *out_is_interval)
{
    sort_values(values, count);
    /* ranks whose interval holds the median in 95 % of cases; 6 values are the fewest that have one (1 - 2 / 2^6) */
    const double below = (double)count / 2.0 - 0.98 * sqrt((double)count);
    const uint32_t first = below < 0.0 ? 0 : (uint32_t)below;
    *out_is_interval = count >= 6;
    *out_error = (values[count - 1 - first] - values[first]) / 2.0;
    return middle(values, count);
}

/* 97.5 % point of Student's t: a table of it up to 30, then its expansion for many. */
static double student(uint32_t degrees)
{
    static const double table[] = {12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                   2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
                                   2.110,  2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064,
                                   2.060,  2.056, 2.052, 2.048, 2.045, 2.042};
    const uint32_t known = (uint32_t)(sizeof table / sizeof table[0]);
    if (degrees == 0) {
        return (double)INFINITY;
    }
    return degrees <= known ? table[degrees - 1] : 1.96 + 2.4 / (double)degrees;
}

/* ---- the line -------------------------------------------------------------------------------------------- */

typedef struct {
    const vs_cal_point *points;
    uint32_t count;
    double *residual; /* relative */
    double *spare;
    double latency, slope;
    bool has_latency; /* two parameters, not one */
    double cut;       /* residuals of so many sigmas and more count nothing */
} fit;

/* The median of what count of the points give for the slope, or for the latency once the slope is there. */
static void start(fit *f, double *slopes)
{
    const uint32_t stride = (f->count + PAIRED_POINTS - 1) / PAIRED_POINTS;
    uint32_t pairs = 0;
    for (uint32_t i = 0; i < f->count; i += stride) {
        for (uint32_t j = 0; j < i && f->has_latency; j += stride) {
            const double bytes = f->points[i].bytes - f->points[j].bytes;
            if (fabs(bytes) > 0.2 * fmax(f->points[i].bytes, f->points[j].bytes)) {
                slopes[pairs++] = (f->points[i].ns - f->points[j].ns) / bytes;
            }
        }
    }
    for (uint32_t i = 0; i < f->count; i++) {
        f->spare[i] = f->points[i].ns / f->points[i].bytes;
    }
    sort_values(f->spare, f->count);
    f->slope = middle(f->spare, f->count);
    f->latency = 0.0;
    if (pairs == 0) {
        return;
    }
    sort_values(slopes, pairs);
    const double slope = middle(slopes, pairs);
    for (uint32_t i = 0; i < f->count; i++) {
        f->spare[i] = f->points[i].ns - slope * f->points[i].bytes;
    }
    sort_values(f->spare, f->count);
    if (slope > 0.0) {
        f->slope = slope;
        f->latency = fmax(0.0, middle(f->spare, f->count));
    }
}

static double predicted(const fit *f, uint32_t i)
{
    return f->latency + f->slope * f->points[i].bytes;
}

/* Relative residuals, and the size of an ordinary one. */
static double measure(fit *f)
{
    for (uint32_t i = 0; i < f->count; i++) {
        f->residual[i] = (f->points[i].ns - predicted(f, i)) / predicted(f, i);
        f->spare[i] = fabs(f->residual[i]);
    }
    sort_values(f->spare, f->count);
    return fmax(SMALLEST_SIGMA, MAD_TO_SIGMA * middle(f->spare, f->count));
}

/* Sums over the points: of x x', and of x y, with x = (1, bytes) / predicted and y = time / predicted. */
typedef struct {
    double aa, ab, bb, ay, by;
} sums;

static sums add_up(const fit *f, double sigma, bool is_weighted)
{
    sums s = {0};
    for (uint32_t i = 0; i < f->count; i++) {
        const double u = f->residual[i] / (f->cut * sigma);
        const double inside = fabs(u) < 1.0 ? 1.0 - u * u : 0.0;
        const double weight = is_weighted ? inside * inside : 1.0;
        const double a = 1.0 / predicted(f, i);
        const double b = f->points[i].bytes * a;
        const double y = f->points[i].ns * a;
        s.aa += weight * a * a;
        s.ab += weight * a * b;
        s.bb += weight * b * b;
        s.ay += weight * a * y;
        s.by += weight * b * y;
    }
    return s;
}

/* One round of weighing and solving; false when it changed (nearly) nothing. */
static bool improve(fit *f)
{
    const double sigma = measure(f);
    const sums s = add_up(f, sigma, true);
    const double determinant = s.aa * s.bb - s.ab * s.ab;
    double latency = 0.0;
    double slope = s.by / s.bb;
    if (f->has_latency && determinant > 1e-12 * s.aa * s.bb) {
        latency = (s.ay * s.bb - s.by * s.ab) / determinant;
        slope = (s.by * s.aa - s.ay * s.ab) / determinant;
    }
    if (latency < 0.0) { /* nothing takes less than no time */
        latency = 0.0;
        slope = s.by / s.bb;
    }
    if (!(slope > 0.0) || !isfinite(slope)) {
        return false;
    }
    const bool has_changed = fabs(slope - f->slope) > 1e-12 * slope ||
                             fabs(latency - f->latency) > 1e-9 * (latency + 1.0);
    f->slope = slope;
    f->latency = latency;
    return has_changed;
}

/* Huber's covariance. */
static void find_errors(fit *f, vs_cal_line *out)
{
    const double sigma = measure(f);
    const bool has_two = f->has_latency && f->latency > 0.0;
    const uint32_t degrees = f->count - (has_two ? 2 : 1);
    double psi_square = 0.0;
    double psi_slope = 0.0;
    for (uint32_t i = 0; i < f->count; i++) {
        const double u = f->residual[i] / (f->cut * sigma);
        const double inside = 1.0 - u * u;
        if (inside > 0.0) {
            const double psi = f->residual[i] * inside * inside;
            psi_square += psi * psi;
            psi_slope += inside * (1.0 - 5.0 * u * u);
        }
    }
    const double mean_slope = psi_slope / (double)f->count;
    const double parameters = has_two ? 2.0 : 1.0;
    const double correction =
        1.0 + parameters / (double)f->count * (1.0 - mean_slope) / mean_slope;
    const double variance =
        psi_square / (double)degrees / (mean_slope * mean_slope) * correction * correction;
    const sums s = add_up(f, sigma, false);
    const double determinant = s.aa * s.bb - s.ab * s.ab;
    const double t = student(degrees);
    out->degrees_of_freedom = degrees;
    out->ns_per_byte_error = t * sqrt(variance * (has_two ? s.aa / determinant : 1.0 / s.bb));
    out->latency_error = has_two ? t * sqrt(variance * s.bb / determinant) : (double)INFINITY;
}

bool vs_cal_fit_line(const vs_cal_point *points, uint32_t count, vs_arena *scratch,
                     vs_cal_line *out)
{
    const size_t mark = scratch->used_bytes;
    const uint32_t paired = count < PAIRED_POINTS ? count : PAIRED_POINTS;
    double smallest = points[0].bytes;
    double largest = points[0].bytes;
    vs_assert(count >= 3);
    for (uint32_t i = 1; i < count; i++) {
        smallest = fmin(smallest, points[i].bytes);
        largest = fmax(largest, points[i].bytes);
    }
    fit f = {.points = points,
             .count = count,
             .residual = VS_ARRAY(scratch, double, count),
             .spare = VS_ARRAY(scratch, double, count),
             .has_latency = largest >= LEAST_SPREAD * smallest,
             .cut = count < ROBUST_POINTS ? EVERYTHING : BIWEIGHT};
    double *const slopes = VS_ARRAY(scratch, double, (size_t)paired *paired);
    if (f.residual == NULL || f.spare == NULL || slopes == NULL) {
        return false;
    }
    start(&f, slopes);
    for (int i = 0; i < ITERATIONS && improve(&f); i++) {}
    *out = (vs_cal_line){.ns_per_byte = f.slope,
                         .latency_ns = f.latency,
                         .has_latency = f.has_latency && f.latency > 0.0};
    find_errors(&f, out);
    vs_arena_rewind(scratch, mark);
    return true;
}
