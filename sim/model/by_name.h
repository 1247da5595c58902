/* sim/model/by_name.h - between by_name.c and by_name_dims.c. */
#ifndef VS_MODEL_BY_NAME_H
#define VS_MODEL_BY_NAME_H

#include "sim/model/summary.h"

/* Fills model->dims of a model whose targets were guessed: from the config's text where there is one, else from shapes.
 * What neither tells stays 0. */
void vs_by_name_dims(vs_model *model);

#endif /* VS_MODEL_BY_NAME_H */
