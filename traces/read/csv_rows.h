/* traces/read/csv_rows.h - rows of comma separated values, one a line, through a window.
 *
 * As far as logs of programs need it: fields are trimmed, quotes around a field are taken off, a comma or a line end inside
 * quotes is not supported. Empty lines are passed over. A last line without its line end may have lost bytes: it is
 * not given, and is_cut says so. */
#ifndef VS_TRACES_CSV_ROWS_H
#define VS_TRACES_CSV_ROWS_H

#include "traces/read/read.h"

#define CSV_FIELDS_MAX 64u

typedef struct {
    vs_input *in;
    const vs_read_desc *desc;
    vs_str fields[CSV_FIELDS_MAX]; /* good until the next row */
    uint32_t count;
    uint32_t line; /* of the row, from 1; stays at UINT32_MAX when there are more */
    bool is_cut;
    uint64_t cut_bytes; /* of the line that was not given */
    vs_err err;         /* why reading failed */
} csv_rows;

void csv_open(csv_rows *rows, vs_input *in, const vs_read_desc *desc);
/* False: no more rows, or rows->err. */
VS_MUST_CHECK bool csv_next(csv_rows *rows);
/* Adds the line and passes rows->err on if it is set. Always false. */
bool csv_fail(const csv_rows *rows, vs_err *err);
/* "0x7f10", "(nil)", "0", "17"; false: none of these, or beyond 2^64. */
VS_MUST_CHECK bool csv_address(vs_str text, uint64_t *out);
/* "12:34:56.789", also with a colon before the fraction: nanoseconds since midnight. */
VS_MUST_CHECK bool csv_time_of_day(vs_str text, vs_ns *out);

#endif /* VS_TRACES_CSV_ROWS_H */
