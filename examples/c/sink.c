/*
 * A sink of one's own: takes what the log holds to a text file, and never loses a row on the way.
 *
 *     cc sink.c -o sink $(pkg-config --cflags --libs tidegate)
 *     ./sink DIRECTORY FILE
 *
 * Each run writes one row, the machine's load, and then appends all that the file lacks, one line a value:
 *
 *     WORKER SEQUENCE TIME NAME.FIELD TYPE VALUE LABEL="..." ...
 *
 * The file is synced before the cursor is moved, and its directory when it is made: a crash in between brings a block
 * again, never a gap. By worker and sequence of its block a reader of the file knows what it has had already.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <tidegate.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* The columns by their places, as docs/arrow.md lists them. */
enum { TIME, START, NAME, LABELS, FIELD, TYPE, F64, I64, U64, BOOL, STRING, BYTES, JSON };

static bool bit(const void *bits, int64_t at) { return ((const uint8_t *)bits)[at / 8] >> (at % 8) & 1; }

static bool is_null(const struct ArrowArray *column, int64_t row) {
    return column->buffers[0] && !bit(column->buffers[0], row + column->offset);
}

/* What row `row` of a column of text, or of bytes, says. */
static tdg_str text_of(const struct ArrowArray *column, int64_t row) {
    const int32_t *ends = (const int32_t *)column->buffers[1] + column->offset + row;
    return (tdg_str){(const char *)column->buffers[2] + ends[0], (size_t)(ends[1] - ends[0])};
}

static void print_plain(FILE *out, tdg_str text) { fwrite(text.ptr, 1, text.len, out); }

/* In quotes, and so that it stays on its line. */
static void print_quoted(FILE *out, tdg_str text) {
    fputc('"', out);
    for (size_t i = 0; i < text.len; i++) {
        unsigned char byte = (unsigned char)text.ptr[i];
        if (byte < ' ' || byte == 0x7f) fprintf(out, "\\x%02x", byte);
        else if (byte == '"' || byte == '\\') fprintf(out, "\\%c", byte);
        else fputc(byte, out);
    }
    fputc('"', out);
}

/* Names, fields and labels are numbers of a dictionary's entries. */
static int64_t entry_of(const struct ArrowArray *column, int64_t row) {
    return ((const int32_t *)column->buffers[1])[row + column->offset];
}

static void print_labels(FILE *out, const struct ArrowArray *column, int64_t row) {
    if (is_null(column, row)) return;
    const struct ArrowArray *maps = column->dictionary, *pairs = maps->children[0];
    const int32_t *ends = (const int32_t *)maps->buffers[1] + maps->offset + entry_of(column, row);
    for (int64_t pair = ends[0] + pairs->offset; pair < ends[1] + pairs->offset; pair++) {
        fputc(' ', out);
        print_plain(out, text_of(pairs->children[0], pair));
        fputc('=', out);
        print_quoted(out, text_of(pairs->children[1], pair));
    }
}

static void print_float(FILE *out, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) fprintf(out, "NaN:%016" PRIx64, bits); /* Which NaN it is tells staleness. */
    else fprintf(out, "%.17g", value);
}

/* The value is in the column of its type, and the others are null. Text that is not UTF-8 is among the bytes. */
static void print_value(FILE *out, struct ArrowArray *const *columns, int64_t row) {
    int place = F64;
    while (place <= JSON && is_null(columns[place], row)) place++;
    const struct ArrowArray *column = place <= JSON ? columns[place] : NULL;
    const void *values = column ? column->buffers[1] : NULL;
    int64_t at = column ? row + column->offset : row;
    switch (place) {
    case F64: print_float(out, ((const double *)values)[at]); break;
    case I64: fprintf(out, "%" PRId64, ((const int64_t *)values)[at]); break;
    case U64: fprintf(out, "%" PRIu64, ((const uint64_t *)values)[at]); break;
    case BOOL: fputs(bit(values, at) ? "true" : "false", out); break;
    case STRING:
    case BYTES:
    case JSON: print_quoted(out, text_of(column, row)); break;
    default: fputs("null", out);
    }
}

static void print_batch(FILE *out, const tdg_block *block, const struct ArrowArray *batch) {
    struct ArrowArray *const *columns = batch->children;
    const struct ArrowArray *names = columns[NAME], *fields = columns[FIELD], *types = columns[TYPE];
    const int64_t *times = (const int64_t *)columns[TIME]->buffers[1] + columns[TIME]->offset;
    for (int64_t row = 0; row < batch->length; row++) {
        fprintf(out, "%" PRIu32 " %" PRIu64 " %" PRId64 " ", block->worker, block->sequence, times[row]);
        if (!is_null(names, row)) print_plain(out, text_of(names->dictionary, entry_of(names, row)));
        fputc('.', out);
        print_plain(out, text_of(fields->dictionary, entry_of(fields, row)));
        fputc(' ', out);
        print_plain(out, text_of(types->dictionary, ((const int8_t *)types->buffers[1])[row + types->offset]));
        fputc(' ', out);
        print_value(out, columns, row);
        print_labels(out, columns[LABELS], row);
        fputc('\n', out);
    }
}

/* Takes one block to the file; TDG_E_TIMEOUT says that there is none yet. A block of which something could not be read
 * or written is not committed: it comes again. */
static tdg_status forward(tdg_reader *reader, FILE *out, tdg_error **error) {
    tdg_block block;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    tdg_status failed = tdg_reader_next(reader, 0, &block, &stream, error);
    if (failed) return failed;
    int unread;
    while ((unread = stream.get_next(&stream, &batch)) == 0 && batch.release) {
        print_batch(out, &block, &batch);
        batch.release(&batch);
    }
    if (unread) fprintf(stderr, "sink: %s\n", stream.get_last_error(&stream));
    stream.release(&stream);
    if (unread) return TDG_E_IO;
    if (fflush(out) || ferror(out) || fsync(fileno(out))) return perror("sink"), TDG_E_IO;
    return tdg_reader_commit(reader, &block, error);
}

/* Opens a file to append to, and has its name survive a crash. */
static FILE *open_durably(const char *path) {
    FILE *out = fopen(path, "a");
    char *copy = strdup(path);
    int directory = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY) : -1;
    bool synced = directory >= 0 && fsync(directory) == 0;
    if (directory >= 0) close(directory);
    free(copy);
    if (out && synced) return out;
    if (out) fclose(out);
    return NULL;
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: sink DIRECTORY FILE\n"), 2;
    FILE *out = open_durably(argv[2]), *proc = fopen("/proc/loadavg", "r");
    double load = 0;
    if (!out || (proc && fscanf(proc, "%lf", &load) != 1)) return perror("sink"), 1;

    tdg_engine *engine = NULL;
    tdg_writer *writer = NULL;
    tdg_reader *reader = NULL;
    tdg_error *error = NULL;
    tdg_series series;
    tdg_token token;
    tdg_options *options = tdg_options_new();
    tdg_status failed = tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(argv[1]), &error);
    if (!failed) failed = tdg_engine_open(options, &engine, &error);
    if (!failed) failed = tdg_cursor_create(engine, TDG_STR("sink"), TDG_CURSOR_OLDEST, &error);
    if (!failed) failed = tdg_engine_series(engine, TDG_STR("load"), NULL, 0, &series, &error);
    if (!failed) failed = tdg_writer_new(engine, &writer, &error);
    if (!failed) failed = tdg_writer_push(writer, series, TDG_TIME_NOW, load);
    if (!failed) failed = tdg_writer_flush(writer, &token);
    if (!failed) failed = tdg_writer_wait(writer, token, 10 * SECOND);
    if (!failed) failed = tdg_reader_open(engine, TDG_STR("sink"), &reader, &error);
    bool more = true;
    while (!failed && more) {
        failed = forward(reader, out, &error);
        if (failed == TDG_E_TIMEOUT) { /* All is taken. A service would wait for more instead. */
            tdg_error_free(error);
            error = NULL;
            failed = TDG_OK;
            more = false;
        } else if (failed == TDG_E_CORRUPT) { /* Told once, and left out: it goes on behind the damage. */
            tdg_str place = tdg_error_message(error);
            fprintf(stderr, "sink: %.*s\n", (int)place.len, place.ptr);
            tdg_error_free(error);
            error = NULL;
            failed = TDG_OK;
        }
    }

    tdg_str why = tdg_error_message(error);
    if (failed) fprintf(stderr, "sink: %s: %.*s\n", tdg_status_text(failed), (int)why.len, why.ptr);
    tdg_error_free(error);
    tdg_reader_free(reader);
    tdg_writer_free(writer);
    tdg_engine_free(engine);
    tdg_options_free(options);
    if (proc) fclose(proc);
    fclose(out);
    return failed ? 1 : 0;
}
