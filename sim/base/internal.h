/* sim/base/internal.h - what the files of base share and nobody else may use. */
#ifndef VS_BASE_INTERNAL_H
#define VS_BASE_INTERNAL_H

#include "vramscope/base.h"

#include <stdarg.h>

/* vs_fail with an argument list. */
bool vs_vfail(vs_err *err, vs_errcode code, const char *format, va_list args) VS_PRINTF(3, 0);

/* The system's words for an errno value, in buf. */
const char *vs_errno_text(int code, char *buf, size_t buf_bytes);

/* Length of the UTF-8 sequence that starts at text (left > 0 bytes follow): 1 to 4, or 0
 * when it is cut short, overlong, a surrogate, beyond U+10FFFF or no start byte.
 * The code point goes to *out_point when the answer is not 0. */
size_t vs_utf8_decode(const uint8_t *text, size_t left, uint32_t *out_point);

/* A to Z become a to z, whatever the locale. */
char vs_lower_ascii(char c);

/* Checks the grammar of RFC 8259 and the limits of this program, so that cJSON sees only
 * text it reads the way the RFC means it. */
bool vs_json_scan(const uint8_t *text, size_t size_bytes, vs_err *err);
/* The line of the key_ordinal-th key (1-based, in document order) of text that was checked. */
uint32_t vs_json_line_of_key(const uint8_t *text, size_t size_bytes, uint64_t key_ordinal);

/* Bytes of the byte order mark that text starts with: 3 or 0. */
size_t vs_json_mark_bytes(const uint8_t *text, size_t size_bytes);

/* Appends one step ("[7]", ".key" or ["odd key"]) to a JSON path of VS_ERR_PATH_BYTES. A
 * long key loses its middle and a long path its front, both marked "...". Returns how many
 * bytes of the result come before the step. key NULL: an array step. */
size_t vs_json_path_add(char *path, const char *key, size_t key_bytes, uint64_t index);

#endif
