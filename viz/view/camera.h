/* viz/view/camera.h - which span of time is on the screen.
 *
 * Integers throughout: column i of w covers [t0 + span*i/w, t0 + span*(i+1)/w), as
 * vs_track_columns has it, so what is drawn and what is asked cannot differ. */
#ifndef VS_VIZ_VIEW_CAMERA_H
#define VS_VIZ_VIEW_CAMERA_H

#include "vramscope/base.h"

typedef struct {
    vs_ns t0;
    vs_ns span;     /* > 0 */
    vs_ns end_ns;   /* of the longest run shown */
    int32_t width;  /* columns */
    bool is_fitted; /* shows the whole run: keeps doing so when the window grows */
} vs_camera;

/* The whole run with a little room at its right. */
void vs_camera_fit(vs_camera *camera, vs_ns end_ns, int32_t width);
/* Another width: the same moments stay on the screen. */
void vs_camera_resize(vs_camera *camera, int32_t width);
void vs_camera_range(vs_camera *camera, vs_ns t0, vs_ns t1);
/* factor > 1 zooms in; the moment at column x stays there. Limits: a column is at least 1 ns;
 * the run fills at least a third of the width. */
void vs_camera_zoom(vs_camera *camera, int32_t x, double factor);
/* Moves the view by columns (> 0: later). It stops before the run leaves the window. */
void vs_camera_pan(vs_camera *camera, int64_t columns);
/* Moves the view so that t is on it, centred when it was not. */
void vs_camera_reveal(vs_camera *camera, vs_ns t);

/* First moment of column x (0 .. width). */
vs_ns vs_camera_time(const vs_camera *camera, int32_t x);
/* Column of a moment: -1 left of the view, width when right of it. */
int32_t vs_camera_column(const vs_camera *camera, vs_ns t);

#endif /* VS_VIZ_VIEW_CAMERA_H */
