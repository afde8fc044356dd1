/*
 * A sink of one's own: takes what the log holds to a text file, and never loses a row on the way.
 *
 *     cc sink.c -o sink $(pkg-config --cflags --libs tidegate)
 *     ./sink DIRECTORY FILE
 *
 * Each run writes one row, the machine's load, and then appends all that the file lacks, one line a value. The file is
 * synced before the cursor is moved: a crash in between brings a block again, never a gap. Lines begin with worker and
 * sequence of their block, by which a reader of the file knows what it has had already.
 */
#include <inttypes.h>
#include <stdio.h>
#include <tidegate.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* The text of a dictionary's entry: what row `row` of a column of names says. */
static int print_name(FILE *out, const struct ArrowArray *column, int64_t row) {
    const uint8_t *valid = column->buffers[0];
    if (valid && !(valid[row / 8] >> (row % 8) & 1)) return 0;
    int32_t entry = ((const int32_t *)column->buffers[1])[row];
    const int32_t *ends = column->dictionary->buffers[1];
    const char *text = column->dictionary->buffers[2];
    return fprintf(out, "%.*s", ends[entry + 1] - ends[entry], text + ends[entry]);
}

/* Appends a batch. Which column is which stands in docs/arrow.md: the first is `time`, the seventh `f64`. */
static void print_batch(FILE *out, const tdg_block *block, const struct ArrowArray *batch) {
    const int64_t *times = batch->children[0]->buffers[1];
    const struct ArrowArray *names = batch->children[2], *fields = batch->children[4];
    const double *values = batch->children[6]->buffers[1];
    for (int64_t row = 0; row < batch->length; row++) {
        fprintf(out, "%" PRIu32 " %" PRIu64 " %" PRId64 " ", block->worker, block->sequence, times[row]);
        print_name(out, names, row);
        fputc('.', out);
        print_name(out, fields, row);
        fprintf(out, " %.17g\n", values[row]);
    }
}

/* Takes one block to the file; the status of there being none yet is TDG_E_TIMEOUT. */
static tdg_status forward(tdg_reader *reader, FILE *out, tdg_error **error) {
    tdg_block block;
    struct ArrowArrayStream stream;
    struct ArrowArray batch;
    tdg_status failed = tdg_reader_next(reader, 0, &block, &stream, error);
    if (failed) return failed;
    while (stream.get_next(&stream, &batch) == 0 && batch.release) {
        print_batch(out, &block, &batch);
        batch.release(&batch);
    }
    stream.release(&stream);
    if (fflush(out) || fsync(fileno(out))) return TDG_E_IO;
    return tdg_reader_commit(reader, &block, error);
}

int main(int argc, char **argv) {
    if (argc != 3) return fprintf(stderr, "usage: sink DIRECTORY FILE\n"), 2;
    FILE *out = fopen(argv[2], "a"), *proc = fopen("/proc/loadavg", "r");
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
    while (!failed) failed = forward(reader, out, &error);

    if (failed == TDG_E_TIMEOUT) failed = TDG_OK; /* All is taken. A service would wait for more instead. */
    if (failed) fprintf(stderr, "%s: %.*s\n", tdg_status_text(failed), (int)tdg_error_message(error).len, tdg_error_message(error).ptr);
    tdg_error_free(error);
    tdg_reader_free(reader);
    tdg_writer_free(writer);
    tdg_engine_free(engine);
    tdg_options_free(options);
    if (proc) fclose(proc);
    fclose(out);
    return failed ? 1 : 0;
}
