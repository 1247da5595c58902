/* SDL makes the window, delivers events and presents one texture; every pixel comes from
 * viz/draw.
 *
 * Two buffers: `base` holds the charts, `shown` is base with the overlay on top. Moving the
 * mouse copies base and draws the overlay; only a change of the view draws the charts again.
 * The loop sleeps in SDL_WaitEvent, drains the queue and then draws at most once. */
#define SDL_MAIN_HANDLED
#include "viz/app/window.h"

#include "viz/draw/raster.h"
#include "viz/view/headline.h"
#include "viz/view/input.h"

#include <SDL.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_ARENA_BYTES   ((size_t)1 << 30) /* reserved, not committed */
#define OVERLAY_ARENA_BYTES ((size_t)64 << 20)

typedef struct {
    SDL_Window *window;
    SDL_Renderer *renderer;
    SDL_Texture *texture;
    vs_font *font;
    vs_surface base, shown;
    vs_arena frame_arena, overlay_arena;
    vs_frame frame;
    vs_input input;
    float ratio_x, ratio_y; /* output pixels per window unit */
} app;

static bool sdl_fail(vs_err *err, const char *what)
{
    return vs_fail(err, VS_ERR_IO, "%s: %s; without a display use --shot FILE.png", what,
                   SDL_GetError());
}

/* ---- size -------------------------------------------------------------------------------- */

static bool resize_surface(vs_surface *surface, int32_t w, int32_t h)
{
    uint32_t *pixels = realloc(surface->pixels, (size_t)w * (size_t)h * sizeof *pixels);
    if (pixels == NULL) {
        return false;
    }
    *surface = (vs_surface){pixels, w, h};
    return true;
}

/* Buffers and texture in the size of the output. The scale follows HiDPI outputs. */
static bool fit_to_output(app *a, vs_err *err)
{
    int w = 0;
    int h = 0;
    int window_w = 0;
    int window_h = 0;
    SDL_GetWindowSize(a->window, &window_w, &window_h);
    if (SDL_GetRendererOutputSize(a->renderer, &w, &h) != 0 || w <= 0 || h <= 0) {
        return sdl_fail(err, "the window has no size");
    }
    a->ratio_x = (float)w / (float)(window_w > 0 ? window_w : w);
    a->ratio_y = (float)h / (float)(window_h > 0 ? window_h : h);
    a->input.view.scale_pct = (uint32_t)((float)a->input.user_scale_pct * a->ratio_x + 0.5F);
    if (a->texture != NULL && a->base.width == w && a->base.height == h) {
        return true;
    }
    if (a->texture != NULL) {
        SDL_DestroyTexture(a->texture);
    }
    a->texture = SDL_CreateTexture(a->renderer, SDL_PIXELFORMAT_ARGB8888,
                                   SDL_TEXTUREACCESS_STREAMING, w, h);
    if (a->texture == NULL) {
        return sdl_fail(err, "no texture for the window");
    }
    if (!resize_surface(&a->base, w, h) || !resize_surface(&a->shown, w, h)) {
        return vs_fail(err, VS_ERR_MEMORY, "out of memory for a window of %d x %d", w, h);
    }
    a->input.view.width = w;
    a->input.view.height = h;
    return true;
}

/* ---- drawing ----------------------------------------------------------------------------- */

static bool draw_base(app *a, vs_err *err)
{
    vs_arena_reset(&a->frame_arena);
    vs_draw_list list;
    vs_draw_init(&list, &a->frame_arena, a->base.width, a->base.height);
    if (!vs_view_prepare(&a->frame, &a->input.view, &a->frame_arena)) {
        return vs_fail_memory(err, &a->frame_arena, "the picture");
    }
    vs_view_draw(&a->frame, &a->input.view, &list);
    vs_raster_list(&a->base, &list, a->font);
    return !list.has_failed || vs_fail_memory(err, &a->frame_arena, "the picture");
}

static void draw_overlay(app *a)
{
    const size_t bytes =
        (size_t)a->base.width * (size_t)a->base.height * sizeof *a->base.pixels;
    memcpy(a->shown.pixels, a->base.pixels, bytes);
    vs_arena_reset(&a->overlay_arena);
    vs_draw_list list;
    vs_draw_init(&list, &a->overlay_arena, a->base.width, a->base.height);
    vs_view_draw_overlay(&a->frame, &a->input.view, &list);
    vs_raster_list(&a->shown, &list, a->font);
}

static void present(app *a)
{
    SDL_UpdateTexture(a->texture, NULL, a->shown.pixels,
                      a->shown.width * (int)sizeof *a->shown.pixels);
    SDL_RenderCopy(a->renderer, a->texture, NULL, NULL);
    SDL_RenderPresent(a->renderer);
}

static bool redraw(app *a, vs_err *err)
{
    if (a->input.is_dirty && (!fit_to_output(a, err) || !draw_base(a, err))) {
        return false;
    }
    if (a->input.is_dirty || a->input.is_overlay_dirty) {
        draw_overlay(a);
        present(a);
    }
    a->input.is_dirty = false;
    a->input.is_overlay_dirty = false;
    return true;
}

/* ---- events ------------------------------------------------------------------------------ */

/* Keys of the WASD block are places on the keyboard; the others are letters. */
static vs_action action_of_place(SDL_Scancode code, bool has_shift)
{
    switch ((int)code) {
    case SDL_SCANCODE_W: return VS_ACT_ZOOM_IN;
    case SDL_SCANCODE_S: return VS_ACT_ZOOM_OUT;
    case SDL_SCANCODE_A: return has_shift ? VS_ACT_FAR_LEFT : VS_ACT_LEFT;
    case SDL_SCANCODE_D: return has_shift ? VS_ACT_FAR_RIGHT : VS_ACT_RIGHT;
    default: return VS_ACT_NONE;
    }
}

typedef struct {
    SDL_Keycode key;
    bool needs_ctrl;
    vs_action action;
} key_row;

static const key_row keys[] = {
    {SDLK_q, true, VS_ACT_QUIT},
    {SDLK_PLUS, true, VS_ACT_LARGER},
    {SDLK_EQUALS, true, VS_ACT_LARGER},
    {SDLK_KP_PLUS, true, VS_ACT_LARGER},
    {SDLK_MINUS, true, VS_ACT_SMALLER},
    {SDLK_KP_MINUS, true, VS_ACT_SMALLER},
    {SDLK_RIGHT, false, VS_ACT_NEXT_EVENT},
    {SDLK_LEFT, false, VS_ACT_PREVIOUS_EVENT},
    {SDLK_HOME, false, VS_ACT_HOME},
    {SDLK_END, false, VS_ACT_END},
    {SDLK_0, false, VS_ACT_FIT},
    {SDLK_KP_0, false, VS_ACT_FIT},
    {SDLK_p, false, VS_ACT_PEAK},
    {SDLK_o, false, VS_ACT_OOM},
    {SDLK_t, false, VS_ACT_THEME},
    {SDLK_F1, false, VS_ACT_HELP},
    {SDLK_ESCAPE, false, VS_ACT_CLOSE},
};

static vs_action action_of_key(const SDL_Keysym *key)
{
    const bool has_ctrl = (key->mod & KMOD_CTRL) != 0;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].key == key->sym && keys[i].needs_ctrl == has_ctrl) {
            return keys[i].action;
        }
    }
    return has_ctrl ? VS_ACT_NONE
                    : action_of_place(key->scancode, (key->mod & KMOD_SHIFT) != 0);
}

static void on_key(app *a, const SDL_Keysym *key)
{
    if (key->sym == SDLK_F11) {
        const bool is_full =
            (SDL_GetWindowFlags(a->window) & SDL_WINDOW_FULLSCREEN_DESKTOP) != 0;
        SDL_SetWindowFullscreen(a->window, is_full ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
        return;
    }
    vs_input_act(&a->input, action_of_key(key));
}

static void on_wheel(app *a, const SDL_MouseWheelEvent *wheel)
{
    const SDL_Keymod mod = SDL_GetModState();
    double notches = (double)wheel->preciseY;
    if ((mod & KMOD_CTRL) != 0) {
        notches /= 4;
    }
    if (wheel->preciseX != 0.0F) {
        vs_input_wheel(&a->input, -(double)wheel->preciseX, true);
    }
    if (notches != 0) {
        vs_input_wheel(&a->input, notches, (mod & KMOD_SHIFT) != 0);
    }
}

static void on_window(app *a, const SDL_WindowEvent *event)
{
    switch ((int)event->event) {
    case SDL_WINDOWEVENT_EXPOSED:
    case SDL_WINDOWEVENT_SIZE_CHANGED:
    case SDL_WINDOWEVENT_DISPLAY_CHANGED: a->input.is_dirty = true; break;
    case SDL_WINDOWEVENT_LEAVE: vs_input_leave(&a->input); break;
    case SDL_WINDOWEVENT_CLOSE: a->input.wants_quit = true; break;
    default: break;
    }
}

static void on_button(app *a, const SDL_MouseButtonEvent *button)
{
    const bool is_left = button->button == SDL_BUTTON_LEFT;
    if (button->type == SDL_MOUSEBUTTONDOWN) {
        vs_input_press(&a->input, is_left);
    } else {
        vs_input_release(&a->input, is_left);
    }
}

static void lose_texture(app *a)
{
    SDL_DestroyTexture(a->texture);
    a->texture = NULL;
    a->input.is_dirty = true;
}

static void on_event(app *a, const SDL_Event *event)
{
    switch (event->type) {
    case SDL_QUIT: a->input.wants_quit = true; break;
    case SDL_KEYDOWN: on_key(a, &event->key.keysym); break;
    case SDL_TEXTINPUT:
        /* '?' is wherever the user's layout has it. */
        vs_input_act(&a->input, strcmp(event->text.text, "?") == 0 ? VS_ACT_HELP : VS_ACT_NONE);
        break;
    case SDL_MOUSEWHEEL: on_wheel(a, &event->wheel); break;
    case SDL_MOUSEMOTION:
        vs_input_move(&a->input, (int32_t)((float)event->motion.x * a->ratio_x),
                      (int32_t)((float)event->motion.y * a->ratio_y));
        break;
    case SDL_MOUSEBUTTONDOWN:
    case SDL_MOUSEBUTTONUP: on_button(a, &event->button); break;
    case SDL_WINDOWEVENT: on_window(a, &event->window); break;
    case SDL_RENDER_TARGETS_RESET:
    case SDL_RENDER_DEVICE_RESET: lose_texture(a); break;
    default: break;
    }
}

static bool loop(app *a, vs_err *err)
{
    while (!a->input.wants_quit) {
        SDL_Event event;
        if (SDL_WaitEvent(&event) == 0) {
            return sdl_fail(err, "waiting for input");
        }
        do {
            on_event(a, &event);
        } while (!a->input.wants_quit && SDL_PollEvent(&event) != 0);
        if (!a->input.wants_quit && !redraw(a, err)) {
            return false;
        }
    }
    return true;
}

/* ---- opening and closing ----------------------------------------------------------------- */

/* Without a display SDL falls back to drivers that show nothing and get no input: the program
 * would wait for ever. Whoever names such a driver in SDL_VIDEODRIVER gets it. */
static bool has_display(void)
{
    static const char *const blind[] = {"offscreen", "dummy", "evdev"};
    const char *driver = SDL_GetCurrentVideoDriver();
    const char *asked = SDL_getenv("SDL_VIDEODRIVER");
    for (size_t i = 0; i < sizeof blind / sizeof blind[0]; i++) {
        if (driver != NULL && strcmp(driver, blind[i]) == 0) {
            return asked != NULL && asked[0] != '\0';
        }
    }
    return true;
}

/* Wayland cannot work without XDG_RUNTIME_DIR and its library says so in a line of its own, so
 * then only the others are tried. */
static void skip_wayland(void)
{
#ifdef __linux__
    const char *runtime = SDL_getenv("XDG_RUNTIME_DIR");
    const char *asked = SDL_getenv("SDL_VIDEODRIVER");
    if ((runtime == NULL || runtime[0] == '\0') && asked == NULL) {
        SDL_SetHint(SDL_HINT_VIDEODRIVER, "x11,KMSDRM");
    }
#endif
}

static bool open_window(app *a, const vs_view_options *options, vs_err *err)
{
    SDL_SetMainReady();
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    SDL_SetHint(SDL_HINT_VIDEO_X11_NET_WM_BYPASS_COMPOSITOR, "0");
    skip_wayland();
    if (SDL_Init(SDL_INIT_VIDEO) != 0) {
        return sdl_fail(err, "no window can be opened");
    }
    if (!has_display()) {
        return vs_fail(err, VS_ERR_IO,
                       "no window can be opened: no display was found (DISPLAY, "
                       "WAYLAND_DISPLAY); without a display use --shot FILE.png");
    }
    char title[VS_HEADLINE_BYTES];
    char name[VS_HEADLINE_BYTES + 16];
    (void)snprintf(name, sizeof name, "%s - vramscope",
                   vs_headline_title(&a->input.view.sources[0], options->title, title));
    a->window =
        SDL_CreateWindow(name, SDL_WINDOWPOS_UNDEFINED, SDL_WINDOWPOS_UNDEFINED, options->width,
                         options->height, SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI);
    if (a->window == NULL) {
        return sdl_fail(err, "no window can be opened");
    }
    SDL_SetWindowMinimumSize(a->window, 800, 500);
    a->renderer = SDL_CreateRenderer(a->window, -1, SDL_RENDERER_PRESENTVSYNC);
    if (a->renderer == NULL) {
        a->renderer = SDL_CreateRenderer(a->window, -1, SDL_RENDERER_SOFTWARE);
    }
    return a->renderer != NULL || sdl_fail(err, "nothing can be drawn in the window");
}

static void close_window(app *a)
{
    if (a->texture != NULL) {
        SDL_DestroyTexture(a->texture);
    }
    if (a->renderer != NULL) {
        SDL_DestroyRenderer(a->renderer);
    }
    if (a->window != NULL) {
        SDL_DestroyWindow(a->window);
    }
    SDL_Quit();
    free(a->base.pixels);
    free(a->shown.pixels);
}

static bool run(app *a, const vs_view_options *options, vs_err *err)
{
    if (!open_window(a, options, err) || !fit_to_output(a, err) || !draw_base(a, err)) {
        return false;
    }
    if (options->has_range) {
        vs_camera_range(&a->input.view.camera, options->range_t0, options->range_t1);
    }
    a->input.is_dirty = true;
    return redraw(a, err) && loop(a, err);
}

bool vs_window_run(const vs_runs *runs, const vs_view_options *options, vs_font *font,
                   vs_err *err)
{
    app *a = calloc(1, sizeof *a);
    if (a == NULL) {
        return vs_fail(err, VS_ERR_MEMORY, "out of memory for the window");
    }
    a->font = font;
    a->input.frame = &a->frame;
    a->input.user_scale_pct = options->scale_pct;
    a->input.view = (vs_view){.sources = runs->sources,
                              .source_count = runs->count,
                              .theme = options->theme,
                              .scale_pct = options->scale_pct,
                              .metrics = vs_font_metrics(font),
                              .title = options->title,
                              .note = runs->notes[0],
                              .has_overview = true};
    bool is_ok = vs_arena_open(&a->frame_arena, FRAME_ARENA_BYTES, err);
    if (is_ok) {
        is_ok = vs_arena_open(&a->overlay_arena, OVERLAY_ARENA_BYTES, err);
        if (is_ok) {
            is_ok = run(a, options, err);
            close_window(a);
            vs_arena_close(&a->overlay_arena);
        }
        vs_arena_close(&a->frame_arena);
    }
    free(a);
    return is_ok;
}
