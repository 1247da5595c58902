/* vramscope/vramscope.h - every public header of libvramscope. */
#ifndef VS_VRAMSCOPE_H
#define VS_VRAMSCOPE_H

#include "vramscope/base.h"
#include "vramscope/calibrate.h"
#include "vramscope/engine.h"
#include "vramscope/hardware.h"
#include "vramscope/model.h"
#include "vramscope/plan.h"
#include "vramscope/pool.h"
#include "vramscope/replay.h"
#include "vramscope/run.h"
#include "vramscope/score.h"
#include "vramscope/study.h"
#include "vramscope/tape.h"
#include "vramscope/trace.h"

#endif /* VS_VRAMSCOPE_H */
