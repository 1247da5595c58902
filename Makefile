# vramscope - one Makefile, no recursion into folders.
#
#   make            libvramscope.a, build/vramscope and (with SDL2) build/vramscope-view
#   make SAN=1      the same with address and undefined behaviour sanitizers, under build/san
#   make DEBUG=1    -O0 with vs_check on, under build/debug
#   make V=1        print the commands
#   make help       every target
#
# CC CFLAGS CPPFLAGS LDFLAGS LDLIBS are the user's; ours are the *_OURS variables. A target calls
# $(MAKE) again in two cases only: after packages were installed, since what pkg-config says is
# read when the Makefile is, and to build a second variant (sanitizers, the other compiler).

BUILD    ?= build
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
AR       ?= ar
CFLAGS   ?=
MODULES  ?= base tape model hardware pool engine plan load run study score
JOBS     ?= $(shell nproc 2>/dev/null || echo 2)
VERSION  := $(shell sed -n 's/^.define VS_VERSION "\(.*\)"/\1/p' sim/include/vramscope/base.h)

# SAN=thread and SAN=fuzz are for `make check` and `make fuzz`.
ifeq ($(SAN),1)
VARIANT := san
else ifeq ($(SAN),thread)
VARIANT := tsan
else ifeq ($(SAN),fuzz)
VARIANT := fuzz
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

#: all            libvramscope.a, build/vramscope, build/vramscope-view (the default)
#: sim            the library and build/vramscope only: no SDL
#: viz            build/vramscope-view
#: capture        the CUDA recorder (none in this version)
.PHONY: all sim viz capture
all: sim viz

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
SAN_KEEP      := -fno-sanitize-recover=all -fno-omit-frame-pointer
ifeq ($(VARIANT),release)
CFLAGS_OURS   += -O2
CPPFLAGS_OURS += -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
else ifeq ($(VARIANT),debug)
CFLAGS_OURS   += -O0
CPPFLAGS_OURS += -DVS_DEBUG
else ifeq ($(VARIANT),tsan)
CFLAGS_OURS   += -O1 -fsanitize=thread
LDFLAGS_OURS  += -fsanitize=thread
else ifeq ($(VARIANT),fuzz)
CFLAGS_OURS   += -O1 -fsanitize=fuzzer-no-link,address,undefined $(SAN_KEEP)
CPPFLAGS_OURS += -DVS_DEBUG
LDFLAGS_OURS  += -fsanitize=fuzzer,address,undefined
else
CFLAGS_OURS   += -O1 -fsanitize=address,undefined $(SAN_KEEP)
CPPFLAGS_OURS += -DVS_DEBUG
LDFLAGS_OURS  += -fsanitize=address,undefined
endif
WERROR ?=
CFLAGS_OURS += $(WERROR)

# ---- libraries ----------------------------------------------------------------
PKG         := pkg-config
have         = $(shell $(PKG) --exists $(1) 2>/dev/null && echo yes)
HAVE_SIM     := $(call have,libcjson zlib sqlite3)
CJSON_CFLAGS := $(shell $(PKG) --cflags libcjson 2>/dev/null)
CJSON_LIBS   := $(shell $(PKG) --libs libcjson 2>/dev/null || echo -lcjson)
ZLIB_LIBS    := $(shell $(PKG) --libs zlib 2>/dev/null || echo -lz)
SQLITE_CFLAGS := $(shell $(PKG) --cflags sqlite3 2>/dev/null)
SQLITE_LIBS  := $(shell $(PKG) --libs sqlite3 2>/dev/null || echo -lsqlite3)
HAVE_VIZ     := $(call have,sdl2 freetype2 libpng)
VIZ_CFLAGS   := $(shell $(PKG) --cflags freetype2 libpng 2>/dev/null)
VIZ_LIBS     := $(shell $(PKG) --libs freetype2 libpng 2>/dev/null)
SDL_CFLAGS   := $(shell $(PKG) --cflags sdl2 2>/dev/null)
SDL_LIBS     := $(shell $(PKG) --libs sdl2 2>/dev/null)
CMOCKA_LIBS  := $(shell $(PKG) --libs cmocka 2>/dev/null || echo -lcmocka)
SIM_LIBS     := $(CJSON_LIBS) $(ZLIB_LIBS) $(SQLITE_LIBS) -lm -lpthread

# ---- sources ---------------------------------------------------------------------
SIM_SRC   := $(foreach m,$(MODULES),$(wildcard sim/$(m)/*.c) $(wildcard sim/$(m)/family/*.c))
SIM_SRC   += $(if $(findstring study,$(MODULES)),$(wildcard traces/read/*.c traces/write/*.c traces/replay/*.c traces/calibrate/*.c))
CLI_SRC   := $(wildcard sim/cli/*.c)
VIZ_SRC   := $(wildcard viz/draw/*.c viz/ui/*.c viz/view/*.c)
APP_SRC   := $(wildcard viz/app/*.c)
CATALOGUE := $(wildcard sim/catalogue/*.json sim/catalogue/models/*.json)
HEADERS   := $(wildcard sim/include/vramscope/*.h)
MAN_PAGES := $(OUT)/man/vramscope.1 $(if $(HAVE_VIZ),$(wildcard viz/app/*.1))

obj      = $(patsubst %.c,$(OBJ)/%.o,$(1))
LIB     := $(OUT)/libvramscope.a
VIZLIB  := $(OUT)/libvramscope-viz.a
SIM_OBJ := $(call obj,$(SIM_SRC)) $(OBJ)/gen/embedded.o
VIZ_OBJ := $(call obj,$(VIZ_SRC))

# ---- programs and libraries ---------------------------------------------------------
ifeq ($(HAVE_SIM),yes)
sim: $(OUT)/vramscope
else
sim:
	@echo "libcjson, zlib or sqlite3 is missing: apt-get install pkg-config libcjson-dev zlib1g-dev libsqlite3-dev" >&2; exit 1
$(SIM_OBJ): sim # whatever wants the library hears of it, and not from the compiler
endif
ifeq ($(HAVE_VIZ),yes)
viz: $(OUT)/vramscope-view
else
viz:
	@echo "viewer left out: apt-get install pkg-config libsdl2-dev libfreetype-dev libpng-dev"
endif
capture:
	@echo "recorder left out: this version has none yet"

# A stamp holds a text, such as the flags, and gets a new date only when the text changes: so
# another CC, other flags or a file that went away rebuild what they have to.
stamp_text = $(subst ','\'',$(1))
write_stamp = mkdir -p $(@D); printf '%s\n' '$(stamp_text)' | cmp -s - $@ || printf '%s\n' '$(stamp_text)' > $@
FLAGS_TEXT := $(CC) $(CPPFLAGS_OURS) $(CPPFLAGS) $(CFLAGS_OURS) $(CFLAGS) $(CJSON_CFLAGS) $(SQLITE_CFLAGS) $(VIZ_CFLAGS) $(SDL_CFLAGS)
.PHONY: FORCE
$(OBJ)/flags.stamp:  FORCE ; @$(call write_stamp,$(FLAGS_TEXT))
$(OBJ)/lib.stamp:    FORCE ; @$(call write_stamp,$(SIM_OBJ))
$(OBJ)/vizlib.stamp: FORCE ; @$(call write_stamp,$(VIZ_OBJ))
$(GEN)/files.stamp:  FORCE ; @$(call write_stamp,$(CATALOGUE))

$(OBJ)/%.o: %.c $(OBJ)/flags.stamp
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC $<")
	$(Q)$(CC) $(CPPFLAGS_OURS) $(CPPFLAGS) $(CFLAGS_OURS) $(CFLAGS) $(EXTRA_CFLAGS) -MMD -MP -c $< -o $@

$(OBJ)/sim/base/%.o: EXTRA_CFLAGS = $(CJSON_CFLAGS)
$(OBJ)/traces/read/%.o: EXTRA_CFLAGS = $(SQLITE_CFLAGS)
$(OBJ)/viz/%.o:      EXTRA_CFLAGS = $(VIZ_CFLAGS)
$(OBJ)/viz/app/%.o:  EXTRA_CFLAGS = $(VIZ_CFLAGS) $(SDL_CFLAGS)

# The catalogue is built into the program: a small tool turns the JSON files into one C array.
$(BUILD)/embed: sim/catalogue/embed.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c17 -O1 -D_POSIX_C_SOURCE=200809L $< -o $@
$(GEN)/embedded.c: $(BUILD)/embed $(CATALOGUE) $(GEN)/files.stamp
	@mkdir -p $(@D)
	$(Q)$(BUILD)/embed sim/catalogue $(CATALOGUE) > $@.tmp && mv $@.tmp $@
$(OBJ)/gen/embedded.o: $(GEN)/embedded.c $(OBJ)/flags.stamp
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS_OURS) $(CPPFLAGS) $(CFLAGS_OURS) -Wno-overlength-strings $(CFLAGS) -c $< -o $@

objects = $(filter %.o %.a,$^)
LINK    = $(CC) $(CFLAGS_OURS) $(CFLAGS) $(LDFLAGS_OURS) $(LDFLAGS) $(objects)

$(LIB): $(SIM_OBJ) $(OBJ)/lib.stamp
	@mkdir -p $(@D)
	$(if $(V),,@echo "  AR $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $(objects)
# The installed library is one object that shows vs_ names only, so that names its files share
# among themselves cannot clash with the user's.
OBJCOPY ?= objcopy
INSTALL_LIB := $(OUT)/install/libvramscope.a
$(INSTALL_LIB): $(SIM_OBJ) $(OBJ)/lib.stamp
	@mkdir -p $(@D)
	$(Q)$(LD) -r -o $(@D)/vramscope.o $(objects)
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='vs_*' $(@D)/vramscope.o
	$(Q)rm -f $@ && $(AR) rcs $@ $(@D)/vramscope.o
$(VIZLIB): $(VIZ_OBJ) $(OBJ)/vizlib.stamp
	@mkdir -p $(@D)
	$(if $(V),,@echo "  AR $@")
	$(Q)rm -f $@ && $(AR) rcs $@ $(objects)
$(OUT)/vramscope: $(call obj,$(CLI_SRC)) $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(LINK) $(SIM_LIBS) $(LDLIBS) -o $@
$(OUT)/vramscope-view: $(call obj,$(APP_SRC)) $(VIZLIB) $(LIB)
	$(if $(V),,@echo "  LD $@")
	$(Q)$(LINK) $(VIZ_LIBS) $(SDL_LIBS) $(SIM_LIBS) $(LDLIBS) -o $@

# ---- tests ----------------------------------------------------------------------------
# One binary per file: unit/test_X.c prop/prop_X.c fault/fault_X.c viz/test_X.c. `make test T=pool`
# runs those whose path contains pool. A fuzz target becomes a libFuzzer program under SAN=fuzz and
# a program that replays its corpus everywhere else.
T ?=
pick          = $(if $(T),$(foreach f,$(1),$(if $(findstring $(T),$(f)),$(f))),$(1))
bin           = $(patsubst tests/%.c,$(OUT)/tests/%,$(call pick,$(wildcard $(1))))
TEST_BIN     := $(call bin,tests/unit/test_*.c tests/prop/prop_*.c tests/fault/fault_*.c)
VIZ_TEST_BIN := $(if $(HAVE_VIZ),$(call bin,tests/viz/test_*.c))
BENCH_BIN    := $(call bin,tests/bench/bench_*.c)
VIZ_BENCH    := $(if $(HAVE_VIZ),$(call bin,tests/viz/bench_*.c))
FUZZ_BIN     := $(call bin,tests/fuzz/fuzz_*.c)
REPLAY_BIN   := $(subst /tests/fuzz/fuzz_,/tests/fuzz/replay_,$(FUZZ_BIN))
SHELL_TESTS  := $(call pick,$(sort $(wildcard tests/*/test_*.sh tests/viz/window_test.sh)))
GOLDEN       := $(if $(wildcard tests/golden/*.cmd),$(call pick,tests/tools/golden.sh))

# What several tests share and is no header.
SUPPORT_OBJ  := $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/support/*.c))

$(TEST_BIN): $(OUT)/tests/%: $(OBJ)/tests/%.o $(SUPPORT_OBJ) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(SIM_LIBS) $(CMOCKA_LIBS) $(LDLIBS) -o $@
$(VIZ_TEST_BIN) $(VIZ_BENCH): $(OUT)/tests/%: $(OBJ)/tests/%.o $(VIZLIB) $(LIB)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(VIZ_LIBS) $(SIM_LIBS) $(CMOCKA_LIBS) $(LDLIBS) -o $@
$(BENCH_BIN) $(FUZZ_BIN): $(OUT)/tests/%: $(OBJ)/tests/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(SIM_LIBS) $(LDLIBS) -o $@
$(REPLAY_BIN): $(OUT)/tests/fuzz/replay_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(LINK) $(SIM_LIBS) $(LDLIBS) -o $@

.PHONY: test-bins replay-bins bench-bins fuzz-bins everything packages test test-run test-slow
test-bins: $(TEST_BIN) $(VIZ_TEST_BIN) ; @:
replay-bins: $(REPLAY_BIN) ; @:
bench-bins: $(BENCH_BIN) $(VIZ_BENCH) ; @:
fuzz-bins: $(FUZZ_BIN) ; @:
everything: all test-bins replay-bins bench-bins ; @:

PACKAGES ?= test
packages:
	@tests/tools/ensure-packages.sh $(PACKAGES)

# The user's -j if there is one, else one job a core.
AGAIN    = $(MAKE) --no-print-directory $(if $(filter -j% --jobserver%,$(MAKEFLAGS)),,-j$(JOBS))
TEST_ENV = BUILD='$(BUILD)' OUT='$(OUT)' VARIANT='$(VARIANT)' CC='$(CC)' MAKE='$(MAKE)' JOBS='$(JOBS)'

#: test           installs what is missing, builds, runs every test; T=pool picks by name
test: packages
	@mkdir -p '$(OUT)'; rm -f '$(OUT)/build-failed'
	+@$(AGAIN) -k all test-bins replay-bins || touch '$(OUT)/build-failed'
	+@$(MAKE) --no-print-directory test-run
# Runs what was built, in a make that has seen the libraries.
test-run:
	@$(TEST_ENV) tests/tools/run-tests.sh $(TEST_BIN) $(VIZ_TEST_BIN) $(REPLAY_BIN) $(GOLDEN) $(SHELL_TESTS)
#: test-slow      test, again at -O0 with vs_check, again under clang's sanitizers, then fuzz
# The suite once more under clang's sanitizers and with vs_check at -O0, then the fuzzers.
test-slow:
	@tests/tools/ensure-packages.sh check
	+@$(MAKE) --no-print-directory test
	+@$(MAKE) --no-print-directory test DEBUG=1
	+@$(MAKE) --no-print-directory test SAN=1 CC=clang BUILD='$(BUILD)/clang'
	+@$(MAKE) --no-print-directory fuzz

.PHONY: golden-update bench fuzz demo
#: golden-update  shows how golden outputs changed, then writes them; T= picks cases
golden-update: sim
	@OUT='$(OUT)' tests/tools/golden.sh --update $(T)

#: bench          prints `name value unit` lines and writes build/bench.json
bench: bench-bins sim
	@OUT='$(OUT)' tests/tools/run-bench.sh $(BENCH_BIN) $(VIZ_BENCH)

#: fuzz TIME=60   every fuzz target for TIME seconds (clang); T= picks targets
TIME ?= 60
fuzz:
	@tests/tools/ensure-packages.sh fuzz
	+@$(AGAIN) SAN=fuzz CC=clang BUILD='$(BUILD)' fuzz-bins
	+@$(MAKE) --no-print-directory SAN=fuzz CC=clang BUILD='$(BUILD)' fuzz-run
.PHONY: fuzz-run
fuzz-run:
	@OUT='$(OUT)' JOBS='$(JOBS)' tests/tools/run-fuzz.sh $(TIME) $(FUZZ_BIN)

#: demo           installs what is missing, builds, runs the two stories, leaves pictures
demo:
	@tests/tools/ensure-packages.sh demo
	+@$(AGAIN) all
	@OUT='$(OUT)' tests/tools/demo.sh

# ---- checks -----------------------------------------------------------------------------
C_FILES = $(shell find sim traces viz tests \( -name '*.c' -o -name '*.h' \) | LC_ALL=C sort)
#: check          format, tidy, layers, headers, words, gcc and clang with -Werror, globals,
#:                sanitizers, determinism; single steps: check-format tidy check-layers
#:                check-headers check-words check-symbols
.PHONY: check check-format tidy check-layers check-headers check-words check-symbols
check:
	@tests/tools/ensure-packages.sh check
	+@$(TEST_ENV) tests/tools/check.sh
check-format:
	@clang-format --dry-run -Werror $(C_FILES)
tidy:
	@JOBS='$(JOBS)' tests/tools/tidy.sh '$(BUILD)/tidy' $(filter %.c,$(C_FILES)) -- -std=c17 $(CPPFLAGS_OURS) \
		$(CJSON_CFLAGS) $(VIZ_CFLAGS) $(SDL_CFLAGS)
check-layers:
	@tests/tools/check-layers
check-headers:
	@CC='$(CC)' tests/tools/check-headers $(CPPFLAGS_OURS) -std=c17 $(CJSON_CFLAGS) $(VIZ_CFLAGS) $(SDL_CFLAGS) $(WARN)
check-words:
	@tests/tools/check-words
check-symbols: $(INSTALL_LIB) $(VIZLIB)
	@tests/tools/check-symbols $^

# ---- install, distribution -----------------------------------------------------------------
#: install        headers, library, vramscope.pc, programs, man pages; PREFIX DESTDIR
#: uninstall      the same files away again
#: dist           build/vramscope-VERSION.tar.gz from the last commit
#: clean help
INSTALLED = $(HEADERS:sim/%=%) lib/libvramscope.a lib/pkgconfig/vramscope.pc bin/vramscope bin/vramscope-view \
	$(patsubst %,share/man/man1/%,$(notdir $(MAN_PAGES)))
.PHONY: install uninstall dist clean help
install: sim viz $(INSTALL_LIB) $(MAN_PAGES)
	$(Q)install -d '$(DESTDIR)$(PREFIX)/include/vramscope' '$(DESTDIR)$(PREFIX)/lib/pkgconfig' \
		'$(DESTDIR)$(PREFIX)/bin' '$(DESTDIR)$(PREFIX)/share/man/man1'
	$(Q)install -m 644 $(HEADERS) '$(DESTDIR)$(PREFIX)/include/vramscope'
	$(Q)install -m 644 $(INSTALL_LIB) '$(DESTDIR)$(PREFIX)/lib'
	$(Q)sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' sim/vramscope.pc.in \
		> '$(DESTDIR)$(PREFIX)/lib/pkgconfig/vramscope.pc'
	$(Q)install $(OUT)/vramscope $(if $(HAVE_VIZ),$(OUT)/vramscope-view) '$(DESTDIR)$(PREFIX)/bin'
	$(Q)install -m 644 $(MAN_PAGES) '$(DESTDIR)$(PREFIX)/share/man/man1'
# From the same table of options as --help, so that they cannot disagree.
$(OUT)/man/vramscope.1: $(OUT)/vramscope
	@mkdir -p $(@D)
	$(Q)$< help --man > $@
uninstall:
	$(Q)rm -f $(foreach f,$(INSTALLED),'$(DESTDIR)$(PREFIX)/$(f)')
	$(Q)rmdir '$(DESTDIR)$(PREFIX)/include/vramscope' 2>/dev/null || true

DIST = vramscope-$(VERSION)
dist:
	@mkdir -p $(BUILD)
	$(Q)git archive --format=tar.gz --prefix=$(DIST)/ -o $(BUILD)/$(DIST).tar.gz HEAD
	@echo $(BUILD)/$(DIST).tar.gz

clean:
	$(Q)rm -rf $(BUILD)

help:
	@sed -n 's/^#: //p' Makefile

.DELETE_ON_ERROR:
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
