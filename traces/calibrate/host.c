/* traces/calibrate/host.c - HOST.json of what was found: figures, where they are from, how far off they may be. */
#include "vramscope/calibrate.h"

#include <string.h>

#define GPU_PREFIX     "gpu."
#define GPU_PREFIX_LEN 4u

static bool is_gpu(vs_cal_parameter parameter)
{
    return strncmp(vs_cal_key(parameter), GPU_PREFIX, GPU_PREFIX_LEN) == 0;
}

static bool is_written(const vs_calibration *calibration, uint32_t p)
{
    return calibration->figures[p].is_known && vs_cal_is_in_host((vs_cal_parameter)p);
}

/* The card's name when it can stand alone: a name the catalogue does not know needs the card's size beside it. */
static const char *name_of(const vs_calibration *calibration, const char *gpu_name)
{
    if (gpu_name != NULL) {
        return gpu_name;
    }
    return calibration->figures[VS_CAL_GPU_CAPACITY].is_known ? calibration->gpu_name : "";
}

static void write_figures(vs_jwriter *w, const vs_calibration *calibration, bool of_gpu)
{
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        const vs_cal_parameter parameter = (vs_cal_parameter)p;
        if (is_written(calibration, p) && is_gpu(parameter) == of_gpu) {
            const char *const key = vs_cal_key(parameter) + (of_gpu ? GPU_PREFIX_LEN : 0);
            vs_jw_u64(w, key, calibration->figures[p].value);
        }
    }
}

static void write_gpu(vs_jwriter *w, const vs_calibration *calibration, const char *gpu_name)
{
    const char *const name = name_of(calibration, gpu_name);
    uint32_t count = 0;
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        count += is_written(calibration, p) && is_gpu((vs_cal_parameter)p) ? 1 : 0;
    }
    if (count == 0 && name[0] == '\0') {
        return;
    }
    vs_jw_object(w, "gpu");
    if (name[0] != '\0') {
        vs_jw_str(w, "name", name);
    }
    write_figures(w, calibration, true);
    vs_jw_object(w, "sources");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        if (is_written(calibration, p) && is_gpu((vs_cal_parameter)p)) {
            vs_jw_str(w, vs_cal_key((vs_cal_parameter)p) + GPU_PREFIX_LEN,
                      calibration->figures[p].source);
        }
    }
    vs_jw_end(w);
    vs_jw_end(w);
}

bool vs_calibration_write_host(const vs_calibration *calibration, const char *path,
                               const char *gpu_name, vs_err *err)
{
    vs_outfile *const out = vs_outfile_open(path, err);
    if (out == NULL) {
        return false;
    }
    vs_jwriter w = vs_jwriter_of(out, false);
    vs_jw_object(&w, NULL);
    vs_jw_str(&w, "format", "vramscope.host/1");
    vs_jw_str(&w, "name", "calibrated");
    write_figures(&w, calibration, false);
    write_gpu(&w, calibration, gpu_name);
    vs_jw_object(&w, "sources");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        if (is_written(calibration, p)) {
            vs_jw_str(&w, vs_cal_key((vs_cal_parameter)p), calibration->figures[p].source);
        }
    }
    vs_jw_end(&w);
    vs_jw_object(&w, "uncertainty");
    for (uint32_t p = 0; p < VS_CAL_COUNT; p++) {
        if (is_written(calibration, p) && calibration->figures[p].has_uncertainty) {
            vs_jw_double(&w, vs_cal_key((vs_cal_parameter)p),
                         calibration->figures[p].uncertainty);
        }
    }
    vs_jw_end(&w);
    vs_jw_end(&w);
    return vs_outfile_commit(out, err);
}
