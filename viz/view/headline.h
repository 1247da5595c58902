/* viz/view/headline.h - the verdict first: what the picture says, in one line. */
#ifndef VS_VIZ_VIEW_HEADLINE_H
#define VS_VIZ_VIEW_HEADLINE_H

#include "viz/ui/pen.h"
#include "viz/view/source.h"

#define VS_HEADLINE_BYTES 384

/* "FITS", "OUT OF MEMORY", ... */
const char *vs_headline_badge(const vs_source *source);
/* The sentence after the badge: the tape's own "headline" when it has one (a leading verdict is
 * taken off), else made from its figures: "peak 12.90 GiB of 23.64 GiB, 10.74 GiB to spare". */
const char *vs_headline_text(const vs_source *source, char buf[VS_HEADLINE_BYTES]);
/* Model, settings, GPU: "title" and "subtitle" of the tape, or what it has instead (of a
 * recording: its file's name and what made it). title replaces the former; NULL: none. */
const char *vs_headline_title(const vs_source *source, const char *title,
                              char buf[VS_HEADLINE_BYTES]);

void vs_headline_draw(const vs_source *source, const vs_pen *pen, vs_rect box,
                      const char *title);

#endif /* VS_VIZ_VIEW_HEADLINE_H */
