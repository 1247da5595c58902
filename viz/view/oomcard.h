/* viz/view/oomcard.h - why it ran out: the sentence and the figures. */
#ifndef VS_VIZ_VIEW_OOMCARD_H
#define VS_VIZ_VIEW_OOMCARD_H

#include "viz/ui/pen.h"
#include "viz/view/source.h"

/* Height the card would take in room of this width if it were high enough; 0: no failure. */
int32_t vs_oomcard_height(const vs_source *source, const vs_pen *pen, vs_rect room);
/* Draws the card at the top of room, as high as its text needs; nothing when neither the card's
 * memory nor the host's ran out, or room is too low for a line of reason. */
void vs_oomcard_draw(const vs_source *source, const vs_pen *pen, vs_rect room);

#endif /* VS_VIZ_VIEW_OOMCARD_H */
