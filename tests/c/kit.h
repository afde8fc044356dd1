/* What the test programs share: a check that says where it failed, and the calls that all of them make. */
#ifndef KIT_H
#define KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <tidegate.h>

#define SECOND INT64_C(1000000000)
#define LONG (60 * SECOND)

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) {                                                                \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);        \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

#define IS(call, expected)                                                                 \
    do {                                                                                   \
        tdg_status got_ = (call);                                                          \
        if (got_ != (expected)) {                                                          \
            fprintf(stderr, "%s:%d: %s: %s, not %s\n", __FILE__, __LINE__, #call,          \
                    tdg_status_text(got_), tdg_status_text(expected));                     \
            exit(1);                                                                       \
        }                                                                                  \
    } while (0)

#define OK(call) IS(call, TDG_OK)

/* An engine on a directory. Nothing is committed but on demand, if `quiet`. */
static inline tdg_engine *open_engine(const char *directory, bool quiet) {
    tdg_options *options = tdg_options_new();
    tdg_engine *engine = NULL;
    OK(tdg_options_set(options, TDG_STR("data.directory"), TDG_CSTR(directory), NULL));
    OK(tdg_options_set(options, TDG_STR("data.disk"), TDG_STR("threads"), NULL));
    if (quiet) OK(tdg_options_set(options, TDG_STR("data.commit_interval"), TDG_STR("1m"), NULL));
    OK(tdg_engine_open(options, &engine, NULL));
    tdg_options_free(options);
    return engine;
}

static inline tdg_writer *new_writer(tdg_engine *engine) {
    tdg_writer *writer = NULL;
    OK(tdg_writer_new(engine, &writer, NULL));
    return writer;
}

static inline tdg_series new_series(tdg_engine *engine, const char *name, const char *host) {
    tdg_label label = {TDG_STR("host"), TDG_CSTR(host)};
    tdg_series series = 0;
    OK(tdg_engine_series(engine, TDG_CSTR(name), &label, 1, &series, NULL));
    return series;
}

static inline void make_durable(tdg_writer *writer) {
    tdg_token token;
    OK(tdg_writer_flush(writer, &token));
    OK(tdg_writer_wait(writer, token, LONG));
}

#endif
