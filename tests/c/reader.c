/* Cursors and readers: blocks as Arrow, at least once, misused and outlived. */
#include "kit.h"

/* A column of a batch, found by its name. */
typedef struct column {
    struct ArrowSchema *schema;
    struct ArrowArray *array;
} column;

typedef struct batch {
    struct ArrowSchema schema;
    struct ArrowArray array;
} batch;

static batch take(struct ArrowArrayStream *stream) {
    batch taken;
    struct ArrowArray end;
    CHECK(stream->get_schema(stream, &taken.schema) == 0);
    CHECK(stream->get_next(stream, &taken.array) == 0 && taken.array.release != NULL);
    CHECK(stream->get_next(stream, &end) == 0 && end.release == NULL);
    CHECK(stream->get_last_error(stream) == NULL);
    stream->release(stream);
    CHECK(stream->release == NULL);
    return taken;
}

static column find(batch *batch, const char *name) {
    column found = {NULL, NULL};
    for (int64_t i = 0; i < batch->schema.n_children; i++) {
        if (strcmp(batch->schema.children[i]->name, name) == 0) {
            found.schema = batch->schema.children[i];
            found.array = batch->array.children[i];
        }
    }
    CHECK(found.array != NULL && found.array->length == batch->array.length);
    return found;
}

static double sum(batch *batch) {
    column values = find(batch, "f64");
    const double *numbers = (const double *)values.array->buffers[1];
    double total = 0;
    CHECK(strcmp(values.schema->format, "g") == 0 && ((uintptr_t)numbers & 63) == 0);
    for (int64_t i = 0; i < values.array->length; i++) total += numbers[i];
    return total;
}

static void done(batch *batch) {
    batch->array.release(&batch->array);
    batch->schema.release(&batch->schema);
    CHECK(batch->array.release == NULL && batch->schema.release == NULL);
}

static void push(tdg_writer *writer, tdg_series series, double value) {
    OK(tdg_writer_push(writer, series, TDG_TIME_NOW, value));
    make_durable(writer);
}

static tdg_reader *open_reader(tdg_engine *engine) {
    tdg_reader *reader = NULL;
    OK(tdg_reader_open(engine, TDG_STR("c"), &reader, NULL));
    return reader;
}

static void blocks_come_until_they_are_committed(tdg_engine *engine, tdg_writer *writer, tdg_series series) {
    struct ArrowArrayStream stream;
    tdg_block first, block;
    tdg_cursor_stats stats;
    OK(tdg_cursor_create(engine, TDG_STR("c"), TDG_CURSOR_OLDEST, NULL));
    OK(tdg_cursor_create(engine, TDG_STR("c"), TDG_CURSOR_NOW, NULL)); /* It stays where it is. */
    for (int i = 1; i <= 3; i++) push(writer, series, i);
    OK(tdg_cursor_look(engine, TDG_STR("c"), &stats, sizeof stats, NULL));
    CHECK(stats.blocks_behind == 3 && stats.rows_behind == 3 && stats.blocks_lost == 0);
    for (int round = 0; round < 2; round++) {
        tdg_reader *reader = open_reader(engine);
        for (int i = 1; i <= 3; i++) {
            OK(tdg_reader_next(reader, LONG, &block, &stream, NULL));
            batch got = take(&stream);
            CHECK(sum(&got) == i && block.values == 1 && block.rows == 1 && block.sequence == (uint64_t)i);
            done(&got);
            if (i == 1) first = block;
        }
        IS(tdg_reader_next(reader, 0, &block, &stream, NULL), TDG_E_TIMEOUT);
        tdg_reader_free(reader);
    }
    tdg_reader *reader = open_reader(engine);
    OK(tdg_reader_next(reader, LONG, NULL, &stream, NULL));
    stream.release(&stream); /* Without a look. */
    IS(tdg_reader_commit(reader, &block, NULL), TDG_E_INPUT); /* The third, not given by this one. */
    OK(tdg_reader_commit(reader, &first, NULL));
    OK(tdg_reader_next(reader, LONG, &block, &stream, NULL));
    CHECK(block.sequence == 2 && memcmp(block.log, first.log, sizeof block.log) == 0);
    stream.release(&stream);
    block.log[0] ^= 1;
    IS(tdg_reader_commit(reader, &block, NULL), TDG_E_INPUT);
    OK(tdg_reader_commit(reader, NULL, NULL));
    tdg_reader_free(reader);
    OK(tdg_cursor_look(engine, TDG_STR("c"), &stats, sizeof stats, NULL));
    CHECK(stats.blocks_behind == 1 && stats.bytes_behind > 0);
}

static void misuse_has_an_answer(tdg_engine *engine) {
    struct ArrowArrayStream stream;
    tdg_reader *reader = NULL, *second = NULL;
    tdg_error *error = NULL;
    tdg_cursor_stats stats;
    tdg_str nothing = {NULL, 0}, nowhere = {NULL, 3};
    IS(tdg_cursor_create(NULL, TDG_STR("x"), TDG_CURSOR_NOW, NULL), TDG_E_NULL);
    IS(tdg_cursor_create(engine, nothing, TDG_CURSOR_NOW, &error), TDG_E_INPUT);
    CHECK(error != NULL && tdg_error_message(error).len > 0);
    tdg_error_free(error);
    IS(tdg_cursor_create(engine, nowhere, TDG_CURSOR_NOW, NULL), TDG_E_NULL);
    IS(tdg_cursor_create(engine, TDG_STR("a/b"), TDG_CURSOR_NOW, NULL), TDG_E_INPUT);
    IS(tdg_cursor_create(engine, TDG_STR("x"), 7, NULL), TDG_E_INPUT);
    IS(tdg_cursor_delete(engine, TDG_STR("none"), NULL), TDG_E_INPUT);
    IS(tdg_cursor_look(engine, TDG_STR("none"), &stats, sizeof stats, NULL), TDG_E_INPUT);
    IS(tdg_cursor_look(engine, TDG_STR("c"), NULL, sizeof stats, NULL), TDG_E_NULL);
    IS(tdg_cursor_look(engine, TDG_STR("c"), &stats, 7, NULL), TDG_E_INPUT);
    IS(tdg_reader_open(engine, TDG_STR("none"), &reader, NULL), TDG_E_INPUT);
    IS(tdg_reader_open(engine, TDG_STR("c"), NULL, NULL), TDG_E_NULL);
    IS(tdg_reader_open(NULL, TDG_STR("c"), &reader, NULL), TDG_E_NULL);
    CHECK(reader == NULL);
    OK(tdg_reader_open(engine, TDG_STR("c"), &reader, NULL));
    IS(tdg_reader_open(engine, TDG_STR("c"), &second, NULL), TDG_E_LOCKED);
    IS(tdg_cursor_delete(engine, TDG_STR("c"), NULL), TDG_E_LOCKED);
    IS(tdg_reader_next(NULL, 0, NULL, &stream, NULL), TDG_E_NULL);
    IS(tdg_reader_next(reader, 0, NULL, NULL, NULL), TDG_E_NULL);
    IS(tdg_reader_commit(NULL, NULL, NULL), TDG_E_NULL);
    tdg_reader_free(reader);
    tdg_reader_free(NULL);
    IS(tdg_directory_read(TDG_STR("/nonexistent"), &stream, NULL), TDG_E_IO);
    IS(tdg_directory_read(TDG_STR("/"), NULL, NULL), TDG_E_NULL);
}

static void what_was_given_outlives_what_gave_it(const char *directory) {
    struct ArrowArrayStream stream, all;
    tdg_engine *engine = open_engine(directory, true);
    tdg_reader *reader = open_reader(engine);
    OK(tdg_reader_next(reader, LONG, NULL, &stream, NULL));
    OK(tdg_directory_read(TDG_CSTR(directory), &all, NULL));
    tdg_engine_free(engine);
    IS(tdg_reader_next(reader, -1, NULL, &stream, NULL), TDG_E_CLOSED);
    IS(tdg_reader_commit(reader, NULL, NULL), TDG_E_CLOSED);
    tdg_reader_free(reader);
    batch last = take(&stream);
    struct ArrowArray moved = *find(&last, "f64").array; /* A child may live on by itself. */
    find(&last, "f64").array->release = NULL;
    done(&last);
    CHECK(((const double *)moved.buffers[1])[0] == 3);
    moved.release(&moved);
    double total = 0;
    for (;;) {
        batch got;
        CHECK(all.get_next(&all, &got.array) == 0);
        if (got.array.release == NULL) break;
        CHECK(all.get_schema(&all, &got.schema) == 0);
        total += sum(&got);
        done(&got);
    }
    all.release(&all);
    CHECK(total == 6);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    tdg_engine *engine = open_engine(argv[1], true);
    tdg_writer *writer = new_writer(engine);
    blocks_come_until_they_are_committed(engine, writer, new_series(engine, "n", "a"));
    misuse_has_an_answer(engine);
    tdg_writer_free(writer);
    OK(tdg_engine_close(engine, LONG, NULL));
    IS(tdg_cursor_create(engine, TDG_STR("late"), TDG_CURSOR_NOW, NULL), TDG_E_CLOSED);
    tdg_engine_free(engine);
    what_was_given_outlives_what_gave_it(argv[1]);
    return 0;
}
