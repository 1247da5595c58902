# vramscope - one Makefile, no recursion. `make help` lists the targets.
#
#   make            libvramscope.a, build/vramscope and (with SDL2) build/vramscope-view
#   make SAN=1      the same with address and undefined behaviour sanitizers, under build/san
#   make DEBUG=1    -O0 with vs_check on, under build/debug
#   make V=1        print the commands
#
# CC CFLAGS CPPFLAGS LDFLAGS LDLIBS are the user's; ours are the *_OURS variables.

BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
AR       ?= ar
CFLAGS   ?=
MODULES  ?= base tape model hardware pool engine plan load run study
VERSION  := $(shell sed -n 's/^.define VS_VERSION "\(.*\)"/\1/p' sim/include/vramscope/base.h)

ifeq ($(SAN),1)
VARIANT := san
else ifeq ($(SAN),thread)
VARIANT := tsan
else ifeq ($(DEBUG),1)
VARIANT := debug
else
VARIANT := release
endif
ifeq ($(VARIANT),release)
OUT := $(BUILD)
else
OUT := $(BUILD)/$(VARIANT)
endif
OBJ := $(BUILD)/obj/$(VARIANT)
GEN := $(BUILD)/gen

Q := $(if $(V),,@)

# ---- flags -------------------------------------------------------------------
WARN := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion \
	-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wvla -Wundef \
	-Wformat=2 -Wnull-dereference -Wdouble-promotion -Wswitch-enum -Wcast-qual \
	-Wwrite-strings -Wpointer-arith -Wimplicit-fallthrough -fno-common
ifeq ($(findstring clang,$(shell $(CC) --version 2>/dev/null | head -n 1)),)
WARN += -Wlogical-op -Wduplicated-cond -Wduplicated-branches -Wcast-align=strict
endif
CPPFLAGS_OURS := -D_POSIX_C_SOURCE=200809L -Isim/include -I.
CFLAGS_OURS   := -std=c17 -g $(WARN) -fstack-protector-strong
LDFLAGS_OURS  :=
ifeq ($(VARIANT),release)
CFLAGS_OURS   += -O2
CPPFLAGS_OURS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(VARIANT),debug)
CFLAGS_OURS   += -O0
CPPFLAGS_OURS += -DVS_DEBUG
else ifeq ($(VARIANT),tsan)
CFLAGS_OURS   += -O1 -fsanitize=thread
LDFLAGS_OURS  += -fsanitize=thread
else
CFLAGS_OURS   += -O1 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
CPPFLAGS_OURS += -DVS_DEBUG
LDFLAGS_OURS  += -fsanitize=address,undefined
endif
WERROR ?=
CFLAGS_OURS += $(WERROR)

# ---- libraries ----------------------------------------------------------------
PKG         := pkg-config
have         = $(shell $(PKG) --exists $(1) 2>/dev/null && echo yes)
CJSON_CFLAGS := $(shell $(PKG) --cflags libcjson 2>/dev/null)
CJSON_LIBS   := $(shell $(PKG) --libs libcjson 2>/dev/null || echo -lcjson)
ZLIB_LIBS    := $(shell $(PKG) --libs zlib 2>/dev/null || echo -lz)
HAVE_VIZ     := $(call have,sdl2 freetype2 libpng)
VIZ_CFLAGS   := $(shell $(PKG) --cflags freetype2 libpng 2>/dev/null)
VIZ_LIBS     := $(shell $(PKG) --libs freetype2 libpng 2>/dev/null)
SDL_CFLAGS   := $(shell $(PKG) --cflags sdl2 2>/dev/null)
SDL_LIBS     := $(shell $(PKG) --libs sdl2 2>/dev/null)
HAVE_CMOCKA  := $(call have,cmocka)
CMOCKA_LIBS  := $(shell $(PKG) --libs cmocka 2>/dev/null || echo -lcmocka)
SIM_LIBS     := $(CJSON_LIBS) $(ZLIB_LIBS) -lm -lpthread

# ---- sources ---------------------------------------------------------------------
SIM_SRC   := $(foreach m,$(MODULES),$(wildcard sim/$(m)/*.c) $(wildcard sim/$(m)/family/*.c))
SIM_SRC   += $(if $(findstring study,$(MODULES)),$(wildcard traces/write/*.c))
CLI_SRC   := $(wildcard sim/cli/*.c)
VIZ_SRC   := $(wildcard viz/draw/*.c viz/ui/*.c viz/view/*.c)
APP_SRC   := $(wildcard viz/app/*.c)
CATALOGUE := $(wildcard sim/catalogue/*.json sim/catalogue/models/*.json)

obj      = $(patsubst %.c,$(OBJ)/%.o,$(1))
LIB     := $(OUT)/libvramscope.a
VIZLIB  := $(OUT)/libvramscope-viz.a
SIM_OBJ := $(call obj,$(SIM_SRC)) $(OBJ)/gen/embedded.o

.PHONY: all sim viz
all: sim viz
sim: $(OUT)/vramscope
ifeq ($(HAVE_VIZ),yes)
viz: $(OUT)/vramscope-view
else
viz:
	@echo "viewer left out: apt-get install libsdl2-dev libfreetype-dev libpng-dev"
endif

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(CPPFLAGS_OURS) $(CPPFLAGS) $(CFLAGS_OURS) $(CFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c $< -o $@

$(OBJ)/sim/base/%.o: EXTRA_CFLAGS = $(CJSON_CFLAGS)
$(OBJ)/viz/%.o:      EXTRA_CFLAGS = $(VIZ_CFLAGS)
$(OBJ)/viz/app/%.o:  EXTRA_CFLAGS = $(VIZ_CFLAGS) $(SDL_CFLAGS)

# The catalogue is built into the program: a small tool turns the JSON files into one C array.
$(BUILD)/embed: sim/catalogue/embed.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -O1 -D_POSIX_C_SOURCE=200809L $< -o $@
$(GEN)/embedded.c: $(BUILD)/embed $(CATALOGUE)
	@mkdir -p $(@D)
	$(Q)$(BUILD)/embed sim/catalogue $(CATALOGUE) > $@.tmp && mv $@.tmp $@
$(OBJ)/gen/embedded.o: $(GEN)/embedded.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_OURS) $(CPPFLAGS) $(CFLAGS_OURS) -Wno-overlength-strings $(CFLAGS) -c $< -o $@

$(LIB): $(SIM_OBJ)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  AR $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(VIZLIB): $(call obj,$(VIZ_SRC))
	@mkdir -p $(@D)
	$(Q)rm -f $@ && $(AR) rcs $@ $^
$(OUT)/vramscope: $(call obj,$(CLI_SRC)) $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(CFLAGS_OURS) $(CFLAGS) $(LDFLAGS_OURS) $(LDFLAGS) $^ $(SIM_LIBS) $(LDLIBS) -o $@
$(OUT)/vramscope-view: $(call obj,$(APP_SRC)) $(VIZLIB) $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(CC) $(CFLAGS_OURS) $(CFLAGS) $(LDFLAGS_OURS) $(LDFLAGS) $^ $(VIZ_LIBS) $(SDL_LIBS) $(SIM_LIBS) $(LDLIBS) -o $@

# ---- tests ----------------------------------------------------------------------------
# One binary per file: unit/test_X.c prop/prop_X.c fault/fault_X.c viz/test_X.c. `make test T=pool`
# runs those whose name contains pool.
T ?=
TEST_SRC := $(wildcard tests/unit/test_*.c tests/prop/prop_*.c tests/fault/fault_*.c)
VIZ_TEST_SRC := $(if $(filter yes,$(HAVE_VIZ)),$(wildcard tests/viz/test_*.c))
pick     = $(if $(T),$(foreach f,$(1),$(if $(findstring $(T),$(f)),$(f))),$(1))
TEST_BIN := $(patsubst tests/%.c,$(OUT)/tests/%,$(call pick,$(TEST_SRC)))
VIZ_TEST_BIN := $(patsubst tests/%.c,$(OUT)/tests/%,$(call pick,$(VIZ_TEST_SRC)))
BENCH_BIN := $(patsubst tests/%.c,$(OUT)/tests/%,$(wildcard tests/bench/bench_*.c))

$(TEST_BIN) $(BENCH_BIN): $(OUT)/tests/%: $(OBJ)/tests/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_OURS) $(CFLAGS) $(LDFLAGS_OURS) $(LDFLAGS) $^ $(SIM_LIBS) $(CMOCKA_LIBS) $(LDLIBS) -o $@
$(VIZ_TEST_BIN): $(OUT)/tests/%: $(OBJ)/tests/%.o $(VIZLIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_OURS) $(CFLAGS) $(LDFLAGS_OURS) $(LDFLAGS) $^ $(VIZ_LIBS) $(SIM_LIBS) $(CMOCKA_LIBS) $(LDLIBS) -o $@

.PHONY: test-bins
test-bins: $(TEST_BIN) $(VIZ_TEST_BIN)

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
