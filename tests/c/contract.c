/* Each call, used as it should be and as it should not. */
#include <pthread.h>

#include "kit.h"

static const char *HUGE_WORDS = "words";

static void options_are_checked(const char *directory) {
    tdg_options *options = tdg_options_new();
    tdg_engine *engine = NULL;
    tdg_error *error = NULL;
    IS(tdg_options_set(NULL, TDG_STR("workers"), TDG_STR("1"), &error), TDG_E_NULL);
    CHECK(error != NULL && tdg_error_status(error) == TDG_E_NULL);
    tdg_error_free(error);
    error = NULL;
    IS(tdg_options_set(options, TDG_STR("no.such"), TDG_STR("1"), &error), TDG_E_CONFIG);
    tdg_str message = tdg_error_message(error);
    CHECK(message.len > 0 && memchr(message.ptr, 'o', message.len) != NULL && !tdg_error_in_doubt(error));
    tdg_error_free(error);
    IS(tdg_options_set(options, TDG_STR("workers"), TDG_STR("many"), NULL), TDG_E_CONFIG);
    tdg_str nowhere = {NULL, 3}, nothing = {NULL, 0}, endless = {HUGE_WORDS, SIZE_MAX}, bad = {"\xff\xfe", 2};
    IS(tdg_options_set(options, nowhere, nothing, NULL), TDG_E_NULL);
    IS(tdg_options_set(options, nothing, nothing, NULL), TDG_E_CONFIG);
    IS(tdg_options_set(options, endless, nothing, NULL), TDG_E_INPUT);
    IS(tdg_options_set(options, TDG_STR("workers"), bad, NULL), TDG_E_INPUT);
    IS(tdg_engine_open(options, &engine, NULL), TDG_E_CONFIG); /* No directory. */
    OK(tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(directory), NULL));
    IS(tdg_engine_open(NULL, &engine, NULL), TDG_E_NULL);
    IS(tdg_engine_open(options, NULL, NULL), TDG_E_NULL);
    IS(tdg_options_set_log(options, NULL, NULL, 9, NULL), TDG_E_INPUT);
    CHECK(engine == NULL); /* Never written but on success. */
    tdg_options_free(options);
    tdg_options_free(NULL);
    tdg_error_free(NULL);
    CHECK(tdg_error_status(NULL) == TDG_OK && tdg_error_message(NULL).len == 0);
}

static void a_directory_has_one_engine(const char *directory) {
    tdg_options *options = tdg_options_new();
    tdg_engine *second = NULL;
    tdg_error *error = NULL;
    OK(tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(directory), NULL));
    IS(tdg_engine_open(options, &second, &error), TDG_E_LOCKED);
    CHECK(second == NULL && tdg_error_message(error).len > 0);
    tdg_error_free(error);
    tdg_options_free(options);
}

static void series_are_numbers(tdg_engine *engine, tdg_writer *writer) {
    tdg_str name = TDG_STR("m");
    tdg_label labels[] = {{TDG_STR("b"), TDG_STR("2")}, {TDG_STR("a"), TDG_STR("1")}};
    tdg_label turned[] = {labels[1], labels[0]}, twice[] = {labels[0], labels[0]};
    tdg_label nameless = {{NULL, 0}, TDG_STR("x")}, bad = {TDG_STR("x"), {"\xc3(", 2}};
    tdg_series first = 0, second = 0, none = 7;
    OK(tdg_engine_series(engine, name, labels, 2, &first, NULL));
    OK(tdg_engine_series(engine, name, turned, 2, &second, NULL));
    CHECK(first == second && first != 0);
    IS(tdg_engine_series(NULL, name, labels, 2, &none, NULL), TDG_E_NULL);
    IS(tdg_engine_series(engine, name, NULL, 2, &none, NULL), TDG_E_NULL);
    IS(tdg_engine_series(engine, name, labels, 2, NULL, NULL), TDG_E_NULL);
    IS(tdg_engine_series(engine, name, twice, 2, &none, NULL), TDG_E_INPUT);
    IS(tdg_engine_series(engine, name, &nameless, 1, &none, NULL), TDG_E_INPUT);
    IS(tdg_engine_series(engine, name, &bad, 1, &none, NULL), TDG_E_INPUT);
    IS(tdg_engine_series(engine, name, labels, SIZE_MAX / 16, &none, NULL), TDG_E_INPUT);
    CHECK(none == 7);
    /* A label without a value is none. */
    tdg_label empty[] = {labels[0], {TDG_STR("c"), {NULL, 0}}, labels[1], {TDG_STR("d"), TDG_STR("")}};
    tdg_series third = 0;
    OK(tdg_engine_series(engine, name, empty, 4, &third, NULL));
    CHECK(third == first);
    OK(tdg_engine_release(engine, third));
    /* Registered twice, released twice; then the number means nothing, whoever asks. */
    OK(tdg_writer_push(writer, first, 1, 1.0));
    OK(tdg_engine_release(engine, first));
    OK(tdg_writer_push(writer, first, 2, 2.0));
    OK(tdg_engine_release(engine, first));
    IS(tdg_engine_release(engine, first), TDG_E_INPUT);
    IS(tdg_writer_push(writer, first, 3, 3.0), TDG_E_INPUT);
    IS(tdg_writer_push(writer, 0, 3, 3.0), TDG_E_INPUT);
    IS(tdg_writer_push(writer, UINT64_MAX, 3, 3.0), TDG_E_INPUT);
    IS(tdg_engine_release(NULL, first), TDG_E_NULL);
}

static void columns_are_taken(tdg_engine *engine, tdg_writer *writer) {
    enum { ROWS = 20000 };
    static int64_t times[ROWS];
    static double values[ROWS];
    for (int i = 0; i < ROWS; i++) times[i] = 100 + i, values[i] = i / 100.0;
    size_t taken = 9;
    tdg_series series = new_series(engine, "column", "a");
    OK(tdg_writer_push_times(writer, series, times, values, ROWS, &taken));
    CHECK(taken == ROWS);
    OK(tdg_writer_push_times(writer, series, NULL, NULL, 0, NULL));
    IS(tdg_writer_push_times(writer, series, NULL, values, 2, &taken), TDG_E_NULL);
    CHECK(taken == 0);
    IS(tdg_writer_push_times(writer, series, times, values, SIZE_MAX, &taken), TDG_E_INPUT);
    taken = 9;
    IS(tdg_writer_push_times(NULL, series, times, values, 1, &taken), TDG_E_NULL);
    CHECK(taken == 0); /* Also where the handle itself is none. */
    taken = 9;
    IS(tdg_writer_push_series(NULL, &series, 5, values, 1, &taken), TDG_E_NULL);
    CHECK(taken == 0);
    taken = 9;
    IS(tdg_writer_push_samples(NULL, &series, times, values, 1, &taken), TDG_E_NULL);
    CHECK(taken == 0);
    tdg_series many[] = {series, new_series(engine, "column", "b"), 42, series};
    IS(tdg_writer_push_series(writer, many, TDG_TIME_NOW, values, 4, &taken), TDG_E_INPUT);
    CHECK(taken == 2);
    OK(tdg_writer_push_series(writer, many, 5, values, 2, &taken));
    IS(tdg_writer_push_series(writer, NULL, 5, values, 2, &taken), TDG_E_NULL);
    const int64_t moments[] = {1, TDG_TIME_NOW, 3, 4};
    IS(tdg_writer_push_samples(writer, many, moments, values, 4, &taken), TDG_E_INPUT);
    CHECK(taken == 2);
    OK(tdg_writer_push_samples(writer, many, moments, values, 1, &taken));
    CHECK(taken == 1);
    OK(tdg_writer_push_samples(writer, NULL, NULL, NULL, 0, NULL));
    IS(tdg_writer_push_samples(writer, many, moments, NULL, 2, &taken), TDG_E_NULL);
    CHECK(taken == 0);
    IS(tdg_writer_push_samples(writer, many, moments, values, SIZE_MAX, &taken), TDG_E_INPUT);
}

static void rows_have_fields_of_all_kinds(tdg_engine *engine, tdg_writer *writer) {
    tdg_series series = new_series(engine, "event", "a");
    tdg_field fields[] = {
        {TDG_STR("f"), {.f64 = 0.5}, TDG_F64},          {TDG_STR("i"), {.i64 = -5}, TDG_I64},
        {TDG_STR("u"), {.u64 = UINT64_MAX}, TDG_U64},   {TDG_STR("b"), {.boolean = 2}, TDG_BOOL},
        {TDG_STR("s"), {.string = TDG_STR("text")}, TDG_STRING},
        {TDG_STR("y"), {.string = {"\xff", 1}}, TDG_BYTES}, {TDG_STR("n"), {.u64 = 0}, TDG_NULL},
    };
    OK(tdg_writer_push_row(writer, series, 7, fields, 7));
    OK(tdg_writer_push_row(writer, series, 8, fields, 1));
    IS(tdg_writer_push_row(writer, series, 8, fields, 0), TDG_E_INPUT);
    IS(tdg_writer_push_row(writer, series, 8, NULL, 1), TDG_E_NULL);
    IS(tdg_writer_push_row(NULL, series, 8, fields, 1), TDG_E_NULL);
    tdg_field twice[] = {fields[0], fields[0]}, kindless = fields[0], bad = fields[4];
    kindless.kind = 99;
    bad.value.string = (tdg_str){"\xff", 1};
    IS(tdg_writer_push_row(writer, series, 8, twice, 2), TDG_E_INPUT);
    IS(tdg_writer_push_row(writer, series, 8, &kindless, 1), TDG_E_INPUT);
    IS(tdg_writer_push_row(writer, series, 8, &bad, 1), TDG_E_INPUT);
    int64_t times[] = {10, 11, 12};
    int64_t counts[] = {1, 2, 3};
    uint8_t truths[] = {0, 1, 5};
    tdg_str texts[] = {TDG_STR("x"), {NULL, 0}, TDG_STR("z")};
    tdg_column columns[] = {
        {TDG_STR("count"), counts, TDG_I64}, {TDG_STR("truth"), truths, TDG_BOOL}, {TDG_STR("text"), texts, TDG_STRING}};
    size_t taken = 0;
    OK(tdg_writer_push_columns(writer, series, times, 3, columns, 3, &taken));
    CHECK(taken == 3);
    OK(tdg_writer_push_columns(writer, series, NULL, 0, columns, 3, &taken));
    IS(tdg_writer_push_columns(writer, series, times, 3, NULL, 3, &taken), TDG_E_NULL);
    IS(tdg_writer_push_columns(writer, series, times, 3, columns, 0, &taken), TDG_E_INPUT);
    taken = 9;
    IS(tdg_writer_push_columns(NULL, series, times, 3, columns, 3, &taken), TDG_E_NULL);
    CHECK(taken == 0);
    /* The rows before the first bad one are taken, whichever column it is in. */
    texts[2] = (tdg_str){"\xff", 1};
    IS(tdg_writer_push_columns(writer, series, times, 3, columns, 3, &taken), TDG_E_INPUT);
    CHECK(taken == 2);
    tdg_str more[] = {TDG_STR("x"), {NULL, 1}, TDG_STR("z")};
    tdg_column two[] = {columns[2], {TDG_STR("bytes"), more, TDG_BYTES}};
    IS(tdg_writer_push_columns(writer, series, times, 3, two, 2, &taken), TDG_E_NULL);
    CHECK(taken == 1);
    texts[0] = (tdg_str){"\xff", 1};
    IS(tdg_writer_push_columns(writer, series, times, 3, two, 2, &taken), TDG_E_INPUT);
    CHECK(taken == 0);
    columns[0].kind = TDG_NULL;
    IS(tdg_writer_push_columns(writer, series, times, 3, columns, 3, &taken), TDG_E_INPUT);
    CHECK(taken == 0);
}

static void bodies_are_taken(tdg_writer *writer) {
    tdg_written written;
    tdg_error *error = NULL;
    tdg_str lines = TDG_STR("cpu,host=a v=1i 20\nbad\ncpu,host=b v=2i 21\n");
    IS(tdg_writer_write(writer, TDG_INFLUX, lines, &written, &error), TDG_E_REJECTED);
    CHECK(written.accepted == 2 && written.rejected == 1 && written.consumed == lines.len);
    CHECK(tdg_error_message(error).len > 0);
    tdg_error_free(error);
    tdg_str text = TDG_STR("# TYPE up gauge\nup{job=\"x\"} 1 22\n");
    OK(tdg_writer_write(writer, TDG_PROMETHEUS_TEXT, text, &written, NULL));
    CHECK(written.accepted == 1 && written.rejected == 0);
    tdg_str row = TDG_STR("{\"time\":23,\"labels\":{\"__name__\":\"nd\"},\"fields\":{\"v\":{\"f64\":1.5}}}\n");
    OK(tdg_writer_write(writer, TDG_NDJSON, row, NULL, NULL));
    IS(tdg_writer_write(writer, TDG_REMOTE_WRITE, TDG_STR("no block"), &written, NULL), TDG_E_INPUT);
    CHECK(written.accepted == 0 && written.consumed == 0);
    /* A label `__name__` = "rw", one sample of 2.5 at 24 ms, in a snappy block of one literal. */
    static const char block[] = "\x1f\x78\x0a\x1d\x0a\x0e\x0a\x08__name__\x12\x02rw"
                                "\x12\x0b\x09\x00\x00\x00\x00\x00\x00\x04\x40\x10\x18";
    tdg_str packed = {block, sizeof block - 1};
    OK(tdg_writer_write(writer, TDG_REMOTE_WRITE, packed, &written, NULL));
    CHECK(written.accepted == 1 && written.consumed == packed.len);
    OK(tdg_writer_write(writer, TDG_GRAPHITE, TDG_STR("some.path 1 25\n"), NULL, NULL));
    tdg_str posted = TDG_STR("[{\"values\":[1,2],\"dstypes\":[\"gauge\",\"derive\"],\"dsnames\":[\"a\",\"b\"],"
                             "\"time\":0.026,\"plugin\":\"collected\"},{\"values\":[],\"plugin\":\"p\"}]");
    IS(tdg_writer_write(writer, TDG_COLLECTD, posted, &written, NULL), TDG_E_REJECTED);
    CHECK(written.accepted == 1 && written.samples == 2 && written.rejected == 1 && written.consumed == posted.len);
    for (int protocol = -1; protocol < 20; protocol++) {
        tdg_status status = tdg_writer_write(writer, protocol, (tdg_str){NULL, 0}, &written, NULL);
        CHECK(status == TDG_OK || status == TDG_E_INPUT || status == TDG_E_REJECTED);
        CHECK(written.accepted == 0 && (protocol >= TDG_INFLUX && protocol <= TDG_COLLECTD ? true : status == TDG_E_INPUT));
    }
    IS(tdg_writer_write(writer, TDG_INFLUX, (tdg_str){NULL, 5}, NULL, NULL), TDG_E_NULL);
    IS(tdg_writer_write(NULL, TDG_INFLUX, lines, NULL, NULL), TDG_E_NULL);
}

static void tokens_are_ordered(tdg_engine *engine, tdg_writer *writer) {
    tdg_series series = new_series(engine, "token", "a");
    tdg_token first = 0, same = 0, later = 0;
    OK(tdg_writer_push(writer, series, 30, 1.0));
    OK(tdg_writer_flush(writer, &first));
    OK(tdg_writer_flush(writer, &same));
    CHECK(first == same);
    OK(tdg_writer_push(writer, series, 31, 1.0));
    OK(tdg_writer_flush(writer, &later));
    CHECK(later > first);
    OK(tdg_writer_flush(writer, NULL));
    OK(tdg_writer_wait(writer, later, -1));
    OK(tdg_writer_wait(writer, first, 0));
    IS(tdg_writer_wait(writer, later + 65536, 0), TDG_E_INPUT);
    IS(tdg_writer_wait(writer, UINT64_MAX, 0), TDG_E_INPUT);
    IS(tdg_writer_wait(NULL, later, 0), TDG_E_NULL);
    IS(tdg_writer_flush(NULL, &later), TDG_E_NULL);
    IS(tdg_writer_set_full_wait(NULL, 0), TDG_E_NULL);
    OK(tdg_writer_set_full_wait(writer, -1));
    int fd = -1;
    IS(tdg_writer_fd(writer, NULL), TDG_E_NULL);
    IS(tdg_writer_fd(NULL, &fd), TDG_E_NULL);
}

static void counts_add_up(tdg_engine *engine) {
    tdg_stats stats;
    OK(tdg_engine_stats(engine, &stats, sizeof stats));
    CHECK(stats.rows_accepted > 20000 && stats.commits > 0 && stats.series > 5 && stats.rows_rejected >= 1);
    struct {
        uint64_t rows, samples, beyond;
    } old = {0, 0, 77};
    OK(tdg_engine_stats(engine, (tdg_stats *)(void *)&old, 16));
    CHECK(old.rows == stats.rows_accepted && old.beyond == 77);
    IS(tdg_engine_stats(engine, &stats, 0), TDG_E_INPUT);
    IS(tdg_engine_stats(engine, &stats, SIZE_MAX), TDG_E_INPUT);
    IS(tdg_engine_stats(engine, NULL, sizeof stats), TDG_E_NULL);
    IS(tdg_engine_stats(NULL, &stats, sizeof stats), TDG_E_NULL);
}

static void rows_of_a_freed_writer_are_counted(tdg_engine *engine) {
    tdg_writer *writer = new_writer(engine);
    OK(tdg_writer_push(writer, new_series(engine, "lost", "a"), 1, 1.0));
    tdg_writer_free(writer);
    tdg_stats stats;
    OK(tdg_engine_stats(engine, &stats, sizeof stats));
    CHECK(stats.rows_discarded == 1);
}

struct heard {
    pthread_mutex_t lock;
    int messages, level_max;
    bool hushed;
};

static void hear(void *userdata, int32_t level, tdg_str message) {
    struct heard *heard = userdata;
    CHECK(level >= TDG_LOG_ERROR && level <= TDG_LOG_DEBUG && message.len > 0);
    pthread_mutex_lock(&heard->lock);
    CHECK(!heard->hushed && level <= heard->level_max);
    heard->messages++;
    pthread_mutex_unlock(&heard->lock);
}

/* Opens an engine that tells messages of this level and graver; gives how many came. */
static int messages_of(int level_max, const char *directory) {
    struct heard heard = {PTHREAD_MUTEX_INITIALIZER, 0, level_max, false};
    tdg_options *options = tdg_options_new();
    tdg_engine *engine = NULL;
    OK(tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(directory), NULL));
    OK(tdg_options_set(options, TDG_STR("data.disk"), TDG_STR("threads"), NULL));
    OK(tdg_options_set_log(options, hear, &heard, level_max, NULL));
    OK(tdg_engine_open(options, &engine, NULL));
    tdg_options_free(options);
    /* A row of the far future is worth a warning. */
    tdg_writer *writer = new_writer(engine);
    OK(tdg_writer_push(writer, new_series(engine, "future", "a"), INT64_MAX, 1.0));
    make_durable(writer);
    OK(tdg_cursor_create(engine, TDG_STR("c"), TDG_CURSOR_NOW, NULL));
    tdg_reader *reader = NULL;
    OK(tdg_reader_open(engine, TDG_STR("c"), &reader, NULL));
    OK(tdg_engine_close(engine, LONG, NULL));
    tdg_writer_free(writer);
    tdg_engine_free(engine);
    pthread_mutex_lock(&heard.lock);
    heard.hushed = true;
    pthread_mutex_unlock(&heard.lock);
    /* What outlives the engine tells nothing. */
    struct ArrowArrayStream stream;
    tdg_status status;
    while ((status = tdg_reader_next(reader, 0, NULL, &stream, NULL)) == TDG_OK) stream.release(&stream);
    IS(status, TDG_E_CLOSED);
    tdg_reader_free(reader);
    return heard.messages;
}

static void messages_are_told(const char *directory) {
    CHECK(messages_of(TDG_LOG_ERROR, directory) == 0);
    CHECK(messages_of(TDG_LOG_WARN, directory) > 0);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    options_are_checked(argv[1]);
    tdg_engine *engine = open_engine(argv[1], true);
    tdg_writer *writer = new_writer(engine);
    IS(tdg_writer_new(NULL, &writer, NULL), TDG_E_NULL);
    IS(tdg_writer_new(engine, NULL, NULL), TDG_E_NULL);
    a_directory_has_one_engine(argv[1]);
    series_are_numbers(engine, writer);
    columns_are_taken(engine, writer);
    rows_have_fields_of_all_kinds(engine, writer);
    bodies_are_taken(writer);
    tokens_are_ordered(engine, writer);
    counts_add_up(engine);
    rows_of_a_freed_writer_are_counted(engine);
    OK(tdg_engine_close(engine, LONG, NULL));
    IS(tdg_engine_close(engine, LONG, NULL), TDG_E_CLOSED);
    IS(tdg_engine_close(NULL, 0, NULL), TDG_E_NULL);
    IS(tdg_writer_push(writer, 1, 1, 1.0), TDG_E_CLOSED);
    IS(tdg_writer_flush(writer, NULL), TDG_E_CLOSED);
    tdg_writer *late = NULL;
    IS(tdg_writer_new(engine, &late, NULL), TDG_E_CLOSED);
    CHECK(late == NULL);
    tdg_engine_free(engine);
    tdg_engine_free(NULL);
    /* A writer may outlive its engine. */
    IS(tdg_writer_push(writer, 1, 1, 1.0), TDG_E_CLOSED);
    tdg_writer_free(writer);
    tdg_writer_free(NULL);
    messages_are_told(argv[2]);
    CHECK(tdg_status_in_doubt(TDG_E_IN_DOUBT) && tdg_status_in_doubt(TDG_E_INTERNAL));
    CHECK(!tdg_status_in_doubt(TDG_OK) && !tdg_status_in_doubt(TDG_E_CLOSED) && !tdg_status_in_doubt(TDG_E_TIMEOUT));
    return 0;
}
