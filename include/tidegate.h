/*
 * tidegate.h: metrics and events from your process into a durable log
 *
 * tidegate takes rows from many threads, writes them as compressed columnar blocks to a directory, and says when they are
 * on stable storage. A row belongs to a series (a name and labels), has a time in nanoseconds and typed fields; a sample
 * is a row whose only field is the float `value`. Any process may read the directory while this one writes it.
 *
 * A whole program:
 *
 *     #include <stdio.h>
 *     #include <tidegate.h>
 *
 *     int main(void) {
 *         tdg_engine *engine = NULL;
 *         tdg_writer *writer = NULL;
 *         tdg_error *error = NULL;
 *         tdg_series load;
 *         tdg_token token;
 *         tdg_label labels[] = {{TDG_STR("host"), TDG_STR("a")}};
 *         tdg_options *options = tdg_options_new();
 *         tdg_status failed = tdg_options_set(options, TDG_STR("data.directory"), TDG_STR("demo"), &error);
 *         if (!failed) failed = tdg_engine_open(options, &engine, &error);
 *         if (!failed) failed = tdg_engine_series(engine, TDG_STR("load"), labels, 1, &load, &error);
 *         if (!failed) failed = tdg_writer_new(engine, &writer, &error);
 *         if (!failed) failed = tdg_writer_push(writer, load, 1700000000000000000, 0.5);
 *         if (!failed) failed = tdg_writer_flush(writer, &token);
 *         if (!failed) failed = tdg_writer_wait(writer, token, 10000000000);
 *         if (!failed) failed = tdg_engine_close(engine, 10000000000, &error);
 *         printf("%s %.*s\n", tdg_status_text(failed), (int)tdg_error_message(error).len, tdg_error_message(error).ptr);
 *         tdg_writer_free(writer);
 *         tdg_engine_free(engine);
 *         tdg_options_free(options);
 *         tdg_error_free(error);
 *         return failed;
 *     }
 *
 * Its CMakeLists.txt:
 *
 *     cmake_minimum_required(VERSION 3.16)
 *     project(demo C)
 *     find_package(tidegate CONFIG REQUIRED)
 *     add_executable(demo demo.c)
 *     target_link_libraries(demo PRIVATE tidegate::static)
 *
 * What it has written:
 *
 *     $ tidegate log cat --data demo
 *     {"time":1700000000000000000,"labels":{"__name__":"load","host":"a"},"fields":{"value":{"f64":0.5}}}
 *
 * Who may call what, and when:
 *
 *     handle        made by            freed by           threads
 *     tdg_options   tdg_options_new    tdg_options_free   one at a time
 *     tdg_engine    tdg_engine_open    tdg_engine_free    any, at once
 *     tdg_series    tdg_engine_series  tdg_engine_release any, at once: it is a number, good for every writer
 *     tdg_writer    tdg_writer_new     tdg_writer_free    one at a time: make one for each thread, they are cheap
 *     tdg_token     tdg_writer_flush                      any, at once, until its writer is freed
 *     tdg_reader    tdg_reader_open    tdg_reader_free    one at a time; a cursor has one reader
 *     tdg_error     failed cold calls  tdg_error_free     any, one at a time
 *
 * No call may be under way on a handle while it is freed, or come later. Writers and readers may outlive
 * their engine.
 *
 * What a call's answer says of a row:
 *
 *     a push gave TDG_OK           it is in the engine's memory; on disk within data.commit_interval, if the disk is sound
 *     a push gave anything else    it was not taken
 *     tdg_writer_wait gave TDG_OK  all rows of the token are on stable storage, and found after any crash
 *     it gave TDG_E_IN_DOUBT       a commit failed, or some row found no room in the series table: each of the rows is
 *                                  found, or not; sent again it may be there twice
 *     it gave TDG_E_TIMEOUT        not yet: wait again
 *     tdg_writer_free              rows not flushed, nor older than the interval, are discarded, and counted
 *     tdg_engine_close gave TDG_OK all rows that were pushed before, and any that a push was told TDG_OK of meanwhile, are
 *                                  on stable storage, but those that rows_in_doubt, rows_rejected and rows_discarded
 *                                  counted before; and the directory is free
 *
 * What is read back, by whoever hands it on:
 *
 *     tdg_cursor_create            names a place in the log, which is kept on disk and holds retention
 *     tdg_reader_next              gives the next durable block, as Arrow, waiting for one if there is none
 *     tdg_reader_commit            moves the cursor: what it has passed does not come again, and may be removed
 *     no commit, and the end       the block is given again, at least once: log, worker and sequence tell it
 *     tdg_directory_read           all that a directory holds now, without an engine, a cursor or a lock
 *
 * Rules for all calls. Text is UTF-8, a pointer and a length; NULL with length 0 is empty. NULL for a handle gives
 * TDG_E_NULL. What a call is given is borrowed until it returns, unless it says otherwise. Out parameters come last and are
 * written on success alone, unless their call says otherwise. Cold calls take an optional place for a tdg_error, which
 * the caller frees; it is written on failure alone. Hot calls give a status and, once series and fields are known, allocate
 * nothing where they do not say so. Times are nanoseconds since the Unix epoch, timeouts nanoseconds, -1 for ever.
 *
 * In your process. The library installs no allocator, no signal handler and no logger; its threads block all signals, and
 * are named tdg-: one that keeps the directory, and for each worker itself, one that makes its memory ready, and
 * those of the disk. On Linux the engine calls membarrier; a sandbox has to allow it, or to refuse it from the start:
 * refused after it has worked it poisons the engine. The library is not to be unloaded: dlclose leaves it where it is.
 * A forked child can do nothing with its parent's engines, writers and readers: all calls give TDG_E_FORKED, and freeing
 * frees nothing; the directory stays locked until both are gone, unless the child execs.
 *
 * Memory is bounded. Between writers and each of the engine's threads are at most 64 batches of rows, each of up to 512
 * KiB or one longer row (4 MiB at most): 32 MiB, and 256 MiB should all rows be of the longest; beside them the names of
 * series that are new in the batch, up to 1 MiB. Behind that are the thread's own batch and two blocks on their way to
 * the disk. Then calls wait (writer.full_wait) or give TDG_E_FULL. Series tables, of each writer too, are bounded by
 * limits.series_max: a registered series has its place until it is released, and its segment has ended if it has rows
 * (at the limit within about ten minutes); a new one in a body is refused when no place is left. What a writer has
 * pushed before goes on whatever the limit says, as far as the engine's tables can count (4 GiB of names and values):
 * rows of a series beyond that are refused after their push, counted in rows_rejected, and their tokens give
 * TDG_E_IN_DOUBT.
 *
 * A full disk loses nothing that was durable. The commit under way gives TDG_E_IN_DOUBT; until there is room again rows
 * stay in memory, waits come to their timeout, and pushes to TDG_E_FULL. Only the log says why: set a log callback, and
 * wait with a timeout.
 *
 * Within one TDG_ABI, calls, statuses and fields are only added; the shared library's name carries the number.
 */

#ifndef TIDEGATE_H
#define TIDEGATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The version that this header is of; `tdg_version` has the linked library's. */
#define TDG_VERSION_MAJOR 0
#define TDG_VERSION_MINOR 1
#define TDG_VERSION_PATCH 0
#define TDG_VERSION "0.1.0"

/*
 * A `tdg_str` of a string literal, and one of a C string, which is looked at twice. `TDG_STR_INIT` is a literal in the
 * initializer of something static: `static const tdg_label host = {TDG_STR_INIT("host"), TDG_STR_INIT("a")};`
 */
#define TDG_STR_INIT(literal) {"" literal, sizeof(literal) - 1}
#ifdef __cplusplus
#define TDG_STR(literal) (tdg_str{("" literal), sizeof(literal) - 1})
#define TDG_CSTR(string) (tdg_str{(string), strlen(string)})
#else
#define TDG_STR(literal) ((tdg_str){("" literal), sizeof(literal) - 1})
#define TDG_CSTR(string) ((tdg_str){(string), strlen(string)})
#endif

/*
 * Arrow's C data and C stream interfaces, as their specification has them. A struct is owned by whoever has it, is
 * moved by copying it and clearing the source's `release`, and is released once, by calling its `release`.
 */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata;
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count;
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif

/**
 * The version of this ABI. Within one version calls, statuses and fields are only added.
 */
#define TDG_ABI 1

/**
 * It is done.
 */
#define TDG_OK 0

/**
 * A pointer is NULL that may not be.
 */
#define TDG_E_NULL 1

/**
 * The caller's to mend: text that is no UTF-8, two labels of one name, a length or number that cannot be, a series or
 * token that is none.
 */
#define TDG_E_INPUT 2

/**
 * Of a body, some rows were rejected. The others are taken.
 */
#define TDG_E_REJECTED 3

/**
 * A bound that was configured, or is the format's: too many series, too large a row. The row will not be taken later.
 */
#define TDG_E_LIMIT 4

/**
 * The engine has no room, and the wait for some is over. Nothing of the row was taken: push it again later.
 */
#define TDG_E_FULL 5

/**
 * The time is over. What was waited for may still come.
 */
#define TDG_E_TIMEOUT 6

/**
 * A commit failed, or the engine ended without one: each of the rows will be found on disk, or not.
 */
#define TDG_E_IN_DOUBT 7

/**
 * The engine is closed, or closing.
 */
#define TDG_E_CLOSED 8

/**
 * An option is not known, or its value is not understood.
 */
#define TDG_E_CONFIG 9

/**
 * Another process, or another engine of this one, has the data directory open.
 */
#define TDG_E_LOCKED 10

/**
 * The operating system refused: the error's message says what.
 */
#define TDG_E_IO 11

/**
 * What is on disk is not what was written there.
 */
#define TDG_E_CORRUPT 12

/**
 * The directory was written by a newer version, or is no data directory.
 */
#define TDG_E_INCOMPATIBLE 13

/**
 * This process was forked from the one that made the handle. Free it; everything else is the parent's.
 */
#define TDG_E_FORKED 14

/**
 * A panic struck this handle before. Free it. What was durable stays so.
 */
#define TDG_E_POISONED 15

/**
 * A panic struck during this call: a bug of tidegate's, whose message stands on stderr. The handle is poisoned.
 */
#define TDG_E_INTERNAL 16

/**
 * Of a message: something is lost, or cannot be done.
 */
#define TDG_LOG_ERROR 1

/**
 * Of a message: something may have to be looked at.
 */
#define TDG_LOG_WARN 2

/**
 * Of a message: what happens in the usual way.
 */
#define TDG_LOG_INFO 3

/**
 * Of a message: for who looks for a fault.
 */
#define TDG_LOG_DEBUG 4

/**
 * As a time: the system's clock at the call.
 */
#define TDG_TIME_NOW (-9223372036854775807 - 1)

/**
 * Of a field: a float, every bit of it, in `f64`.
 */
#define TDG_F64 1

/**
 * Of a field: a signed integer, in `i64`.
 */
#define TDG_I64 2

/**
 * Of a field: an unsigned integer, in `u64`.
 */
#define TDG_U64 3

/**
 * Of a field: a truth value, in `boolean`.
 */
#define TDG_BOOL 4

/**
 * Of a field: UTF-8 text, in `string`.
 */
#define TDG_STRING 5

/**
 * Of a field: any bytes, in `string`.
 */
#define TDG_BYTES 6

/**
 * Of a field: it is there and has no value.
 */
#define TDG_NULL 7

/**
 * Of a body: Influx line protocol, times in nanoseconds.
 */
#define TDG_INFLUX 1

/**
 * Of a body: Influx line protocol, times in microseconds.
 */
#define TDG_INFLUX_US 2

/**
 * Of a body: Influx line protocol, times in milliseconds.
 */
#define TDG_INFLUX_MS 3

/**
 * Of a body: Influx line protocol, times in seconds.
 */
#define TDG_INFLUX_S 4

/**
 * Of a body: Prometheus' text format, 0.0.4.
 */
#define TDG_PROMETHEUS_TEXT 5

/**
 * Of a body: OpenMetrics text, up to its `# EOF`.
 */
#define TDG_OPENMETRICS 6

/**
 * Of a body: Prometheus remote write 1.0, as it is sent: protobuf in a snappy block.
 */
#define TDG_REMOTE_WRITE 7

/**
 * Of a body: Prometheus remote write 2.0, as it is sent.
 */
#define TDG_REMOTE_WRITE_2 8

/**
 * Of a body: an OTLP request with metrics, as protobuf.
 */
#define TDG_OTLP_METRICS 9

/**
 * Of a body: an OTLP request with logs, as protobuf.
 */
#define TDG_OTLP_LOGS 10

/**
 * Of a body: an OTLP request with metrics, as JSON.
 */
#define TDG_OTLP_METRICS_JSON 11

/**
 * Of a body: an OTLP request with logs, as JSON.
 */
#define TDG_OTLP_LOGS_JSON 12

/**
 * Of a body: tidegate's own rows as JSON lines, as `tidegate log cat` prints them.
 */
#define TDG_NDJSON 13

/**
 * Of a body: VictoriaMetrics' JSON lines.
 */
#define TDG_VM_IMPORT 14

/**
 * Of a body: OpenTSDB's data points as JSON.
 */
#define TDG_OPENTSDB 15

/**
 * Of a body: Graphite's plaintext.
 */
#define TDG_GRAPHITE 16

/**
 * Of a body: what collectd's write_http posts as JSON.
 */
#define TDG_COLLECTD 17

/**
 * A new cursor begins before all that the log holds.
 */
#define TDG_CURSOR_OLDEST 0

/**
 * A new cursor begins behind all that is durable when it is made.
 */
#define TDG_CURSOR_NOW 1

/**
 * An engine on a data directory.
 *
 * Threads: any, at once. Freeing it is the end of that: no call on it may be under way, or come later.
 */
typedef struct tdg_engine tdg_engine;

/**
 * What went wrong with a call, in words. Given to whoever passed a place for it, and freed by `tdg_error_free`.
 *
 * Threads: any, one at a time.
 */
typedef struct tdg_error tdg_error;

/**
 * What an engine is told when it is opened. One set of options may open several engines.
 *
 * Threads: one at a time.
 */
typedef struct tdg_options tdg_options;

/**
 * A reader on a cursor: gives the log's blocks as they become durable, and moves the cursor behind them. A cursor has
 * one at a time.
 *
 * Threads: one at a time. It may outlive its engine: it is given what was durable when that had closed, and commits
 * nothing more.
 */
typedef struct tdg_reader tdg_reader;

/**
 * A thread's way into an engine: as many as there are threads. Cheap, also while it is idle.
 *
 * Rows lie in the writer until it is flushed, its batch is full, or the commit interval is over, whichever comes
 * first; for the last of these it needs no call.
 *
 * Threads: one at a time. `tdg_writer_wait` alone may be called by any thread at any time before the writer is freed.
 */
typedef struct tdg_writer tdg_writer;

/**
 * What a call gives back: `TDG_OK`, or one of the `TDG_E_` numbers, which are never changed and never reused.
 */
typedef int32_t tdg_status;

/**
 * Text or bytes: a pointer and a length, not terminated. Borrowed for the call, unless its giver says otherwise. NULL
 * with length 0 is the empty string.
 */
typedef struct {
    /**
     * The first byte.
     */
    const char *ptr;
    /**
     * How many bytes.
     */
    size_t len;
} tdg_str;

/**
 * Told of a message: its level, and its text of one line, borrowed for the call.
 *
 * Threads: called by any of the engine's, and by those that open, close or read it; by several at once. It must
 * return soon, must not call the engine, and must not jump out. After `tdg_engine_free` has returned it is not called
 * any more.
 */
typedef void (*tdg_log_fn)(void *userdata, int32_t level, tdg_str message);

/**
 * Counts since the engine was opened, over all its threads. Later versions add fields at the end.
 */
typedef struct {
    /**
     * Rows that were pushed and are on stable storage.
     */
    uint64_t rows_accepted;
    /**
     * Values in these rows.
     */
    uint64_t samples_accepted;
    /**
     * Rows of bodies that were rejected, and rows that found no room in the series table.
     */
    uint64_t rows_rejected;
    /**
     * Rows that went with a writer that was freed before they were flushed.
     */
    uint64_t rows_discarded;
    /**
     * Rows whose commit failed: each is on disk, or not.
     */
    uint64_t rows_in_doubt;
    /**
     * Rows more than a day ahead of the clock or ten years behind it. They were taken.
     */
    uint64_t rows_far_off;
    /**
     * Series in the tables, those counted that no handle is registered of.
     */
    uint64_t series;
    /**
     * Series that are registered.
     */
    uint64_t series_registered;
    /**
     * Blocks made durable.
     */
    uint64_t commits;
    /**
     * Commits that failed.
     */
    uint64_t commits_failed;
    /**
     * Bytes of blocks written, padding included.
     */
    uint64_t committed_bytes;
    /**
     * Bytes of memory that tables and batches hold, as of each thread's last commit.
     */
    uint64_t memory_bytes;
} tdg_stats;

/**
 * A label of a series: its name and its value, both UTF-8.
 */
typedef struct {
    /**
     * The name; not empty.
     */
    tdg_str name;
    /**
     * The value; a label whose value is empty is none.
     */
    tdg_str value;
} tdg_label;

/**
 * A registered series: a number, good for every writer of the engine that gave it, until it is released. Never 0.
 */
typedef uint64_t tdg_series;

/**
 * The value of a field.
 */
typedef union {
    /**
     * Of `TDG_F64`.
     */
    double f64;
    /**
     * Of `TDG_I64`.
     */
    int64_t i64;
    /**
     * Of `TDG_U64`.
     */
    uint64_t u64;
    /**
     * Of `TDG_BOOL`: 0, or anything else for true.
     */
    uint8_t boolean;
    /**
     * Of `TDG_STRING` and `TDG_BYTES`.
     */
    tdg_str string;
} tdg_value;

/**
 * A field of a row.
 */
typedef struct {
    /**
     * Its name, UTF-8.
     */
    tdg_str name;
    /**
     * Its value.
     */
    tdg_value value;
    /**
     * What the value is: `TDG_F64` and so on.
     */
    int32_t kind;
} tdg_field;

/**
 * A field of several rows.
 */
typedef struct {
    /**
     * Its name, UTF-8.
     */
    tdg_str name;
    /**
     * One value a row: `double`, `int64_t`, `uint64_t`, `uint8_t` for `TDG_BOOL`, or `tdg_str` for `TDG_STRING` and
     * `TDG_BYTES`.
     */
    const void *values;
    /**
     * What the values are: `TDG_F64` and so on; not `TDG_NULL`.
     */
    int32_t kind;
} tdg_column;

/**
 * What became of a body.
 */
typedef struct {
    /**
     * Rows taken.
     */
    uint64_t accepted;
    /**
     * Rows rejected: with `TDG_E_REJECTED` the error names the first of them.
     */
    uint64_t rejected;
    /**
     * Values in the rows taken.
     */
    uint64_t samples;
    /**
     * Exemplars taken.
     */
    uint64_t exemplars;
    /**
     * Metadata taken.
     */
    uint64_t metadata;
    /**
     * Bytes that need not come again: all of them with `TDG_OK` and `TDG_E_REJECTED`.
     */
    size_t consumed;
} tdg_written;

/**
 * Stands for the rows that one flush handed over. Later tokens of a writer are greater, or the same if no row came
 * between.
 */
typedef uint64_t tdg_token;

/**
 * How a cursor stands. Later versions add fields at the end.
 */
typedef struct {
    /**
     * Blocks that are durable and not passed.
     */
    uint64_t blocks_behind;
    /**
     * Their rows.
     */
    uint64_t rows_behind;
    /**
     * Their bytes on disk.
     */
    uint64_t bytes_behind;
    /**
     * Blocks that retention took before they were passed, ever: see the options data.cursor_size_max and
     * data.free_space_min.
     */
    uint64_t blocks_lost;
    /**
     * Their rows.
     */
    uint64_t rows_lost;
    /**
     * Their bytes on disk.
     */
    uint64_t bytes_lost;
} tdg_cursor_stats;

/**
 * A block that was given. `log`, `worker` and `sequence` tell it from every other one for ever: it is given again if
 * it was not committed, and whoever remembers the highest `sequence` of each worker takes nothing twice.
 */
typedef struct {
    /**
     * Its place among its worker's blocks: rising, with gaps.
     */
    uint64_t sequence;
    /**
     * When it was sealed: nanoseconds since the Unix epoch.
     */
    int64_t arrival_ns;
    /**
     * Its values, each a row of the record batch.
     */
    uint64_t values;
    /**
     * Its rows.
     */
    uint32_t rows;
    /**
     * The worker that wrote it.
     */
    uint32_t worker;
    /**
     * The log's identity.
     */
    uint8_t log[16];
} tdg_block;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The ABI that the linked library has: at least the header's `TDG_ABI`, or it must not be used.
 */
uint32_t tdg_abi_version(void);

/**
 * The linked library's version, such as "0.1.0", as a C string of static lifetime.
 */
const char *tdg_version(void);

/**
 * A status in words, as a C string of static lifetime. Any number may be asked for.
 */
const char *tdg_status_text(tdg_status status);

/**
 * Whether rows may be on disk all the same after a call that gave this status: who sends them again may have them
 * twice, who does not may lack them. So it is of `TDG_E_IN_DOUBT`, `TDG_E_POISONED` and `TDG_E_INTERNAL`, whatever the
 * call. `TDG_E_TIMEOUT` is no answer yet: ask again; who does not is in doubt of what was asked about.
 */
bool tdg_status_in_doubt(tdg_status status);

/**
 * The status that the failed call gave. `TDG_OK` for NULL.
 */
tdg_status tdg_error_status(const tdg_error *error);

/**
 * The message, for a person, in one line or a few. Valid until the error is freed; empty for NULL.
 */
tdg_str tdg_error_message(const tdg_error *error);

/**
 * `tdg_status_in_doubt` of the error's status.
 */
bool tdg_error_in_doubt(const tdg_error *error);

/**
 * Frees an error. NULL is fine.
 */
void tdg_error_free(tdg_error *error);

/**
 * Options with their defaults; the data directory is still to be named. NULL only if there is no memory.
 */
tdg_options *tdg_options_new(void);

/**
 * Sets an option. Keys and values are those of the configuration file, sections and keys joined by a dot;
 * `writer.full_wait`, of calls that the file knows nothing of, is the one that is not in it:
 *
 * | key | value | default |
 * |---|---|---|
 * | `data.directory` | a path; made if it is missing | none: it must be set |
 * | `data.retention` | how long rows are kept, as `15d`; `0` for ever | `15d` |
 * | `data.retention_size` | how many bytes are kept, as `10GiB`; `0` for any | `0` |
 * | `data.free_space_min` | the share of the file system that is kept free, at the cost of the oldest rows; `0` is none | `5%` |
 * | `data.cursor_size_max` | how many bytes are kept longer for cursors that have not passed them | `10GiB` |
 * | `data.commit_linger` | how long rows wait for company that somebody waits for | `2ms` |
 * | `data.commit_interval` | how long rows wait that nobody waits for | `200ms` |
 * | `data.commits_per_second_max` | a cap on commits; `0` is none | `0` |
 * | `data.disk` | `auto`, `io_uring` or `threads` | `auto` |
 * | `limits.series_max` | series at one time | `10000000` |
 * | `workers` | threads that encode and commit; several for writers that push without pause | `1` |
 * | `writer.full_wait` | how long a call may wait for room before it gives `TDG_E_FULL`; `0` not at all | `1s` |
 *
 * A relative `data.directory` is looked for from where the process is when the engine opens, and stays there.
 *
 * Where less than `data.free_space_min` is free the oldest rows go, also such as a cursor has not passed and
 * `data.cursor_size_max` would keep: they count as the cursor's losses.
 *
 * Errors: `TDG_E_CONFIG` for a key that is not known or a value that is not understood; the message says which.
 */
tdg_status tdg_options_set(tdg_options *options,
                           tdg_str key,
                           tdg_str value,
                           tdg_error **error);

/**
 * Frees options. NULL is fine.
 */
void tdg_options_free(tdg_options *options);

/**
 * Has an engine that is opened with these options tell messages of `level_max` and graver to `log`, together with
 * `userdata`, which is passed as it is. NULL for `log` ends that. Without it an engine says nothing.
 *
 * Errors: `TDG_E_INPUT` for a level that is none.
 */
tdg_status tdg_options_set_log(tdg_options *options,
                               tdg_log_fn log,
                               void *userdata,
                               int32_t level_max,
                               tdg_error **error);

/**
 * Opens a data directory and starts the engine's threads. What an earlier process left unfinished is recovered.
 *
 * `options` is borrowed for the call. `engine` gets a handle that the caller owns, for `tdg_engine_free`.
 *
 * Errors: `TDG_E_LOCKED` if another engine has the directory open, in this process or another; `TDG_E_CONFIG` if
 * options do not go together or no directory is named; `TDG_E_INCOMPATIBLE`, `TDG_E_IO`.
 */
tdg_status tdg_engine_open(const tdg_options *options,
                           tdg_engine **engine,
                           tdg_error **error);

/**
 * Takes in what writers have pushed, commits it, seals the log and ends the engine's threads; waits for that at most
 * `timeout_ns` (-1: for ever). From its start on writers get `TDG_E_CLOSED`; calls of theirs that are under way are
 * waited for, and what such a call was told taken is committed, too. The directory is free when it gave `TDG_OK`.
 *
 * Errors: `TDG_E_TIMEOUT` if it is not done yet: it goes on, and the call may be repeated; `TDG_E_IN_DOUBT` if it is
 * closed, and rows that it took could not be committed, or a writer's panic had lost some; `TDG_E_CLOSED` if it was
 * closed before; `TDG_E_POISONED` if a thread of the engine had panicked; `TDG_E_IO`. What was told durable is so in
 * any case.
 */
tdg_status tdg_engine_close(tdg_engine *engine,
                            int64_t timeout_ns,
                            tdg_error **error);

/**
 * Frees an engine. One that was not closed is closed first, within ten seconds. Writers may outlive it: they get
 * `TDG_E_CLOSED`. NULL is fine. In a forked child it frees nothing but what the child may touch.
 */
void tdg_engine_free(tdg_engine *engine);

/**
 * Writes what the engine counts to `stats`, of which the caller says the size: `sizeof(tdg_stats)`. A smaller
 * struct, of an older header, gets the fields that it has. May be called at any time, after closing, too.
 *
 * Errors: `TDG_E_INPUT` if the size is that of no `tdg_stats`.
 */
tdg_status tdg_engine_stats(const tdg_engine *engine,
                            tdg_stats *stats,
                            size_t stats_size);

/**
 * Makes a series known, once, by its name and labels, in any order. Its rows are then pushed by the number that
 * `series` gets, by any writer of this engine. The same name and labels give the same number, and it stays good
 * whatever becomes of segments and tables.
 *
 * `name` is the metric's or measurement's, and becomes the label `__name__`; it may be empty. A label whose value is
 * empty is left out: to Prometheus a series with it and one without it are the same. All is borrowed for the call.
 *
 * A registered series has a place among `limits.series_max` until it is released, whether it has rows or not; one that
 * is released with rows keeps it until the segment of the last of them ends. Where a place is wanted and none is
 * left, segments end early: such places come free within about ten minutes.
 *
 * Errors: `TDG_E_INPUT` for two labels of one name, a label without a name, or text that is no UTF-8; `TDG_E_LIMIT`
 * if no place is left: so many are registered or in the tables; `TDG_E_CLOSED` never: series of a closed engine may
 * be registered and released.
 */
tdg_status tdg_engine_series(tdg_engine *engine,
                             tdg_str name,
                             const tdg_label *labels,
                             size_t labels_len,
                             tdg_series *series,
                             tdg_error **error);

/**
 * Takes a registration back, when what the series is about has gone. When it was released as often as it was
 * registered its number means nothing any more: pushing by it gives `TDG_E_INPUT`. Rows pushed before stay.
 *
 * Errors: `TDG_E_INPUT` if the number is no series of this engine.
 */
tdg_status tdg_engine_release(tdg_engine *engine,
                              tdg_series series);

/**
 * Makes a writer of an engine. `writer` gets a handle that the caller owns, for `tdg_writer_free`.
 *
 * Errors: `TDG_E_CLOSED`, `TDG_E_POISONED`.
 */
tdg_status tdg_writer_new(tdg_engine *engine, tdg_writer **writer, tdg_error **error);

/**
 * Frees a writer. Rows that it was given and that were not flushed, nor taken by the engine for their age, are
 * discarded, and counted in `rows_discarded`; while the engine closes they are committed. NULL is fine.
 */
void tdg_writer_free(tdg_writer *writer);

/**
 * How long this writer's calls may wait for room, in nanoseconds (-1: for ever), in the place of the engine's
 * `writer.full_wait`. With 0 none waits, and a call that finds no room gives `TDG_E_FULL` at once.
 */
tdg_status tdg_writer_set_full_wait(tdg_writer *writer,
                                    int64_t full_wait_ns);

/**
 * Pushes a sample: a row whose only field is the float `value`. `time_ns` is nanoseconds since the Unix epoch, or
 * `TDG_TIME_NOW`. Every bit of `value` is kept, a NaN's too.
 *
 * Errors: `TDG_E_FULL` after at most the writer's wait for room; `TDG_E_INPUT` if the series is none; `TDG_E_LIMIT` if
 * the row is too large; `TDG_E_CLOSED`, `TDG_E_POISONED`. The row was not taken then.
 */
tdg_status tdg_writer_push(tdg_writer *writer,
                           tdg_series series,
                           int64_t time_ns,
                           double value);

/**
 * Pushes samples of one series: `len` times and as many values. `taken`, which may be NULL, is written in any case:
 * how many were taken, from the first on. All of them with `TDG_OK`, and a part of them or none otherwise.
 *
 * Errors: as of `tdg_writer_push`, for the first sample that was not taken.
 */
tdg_status tdg_writer_push_times(tdg_writer *writer,
                                 tdg_series series,
                                 const int64_t *times_ns,
                                 const double *values,
                                 size_t len,
                                 size_t *taken);

/**
 * Pushes samples of one time: one for each of `len` series and values. `taken` as of `tdg_writer_push_times`.
 *
 * Errors: as of `tdg_writer_push`, for the first sample that was not taken.
 */
tdg_status tdg_writer_push_series(tdg_writer *writer,
                                  const tdg_series *series,
                                  int64_t time_ns,
                                  const double *values,
                                  size_t len,
                                  size_t *taken);

/**
 * Pushes samples of any series and times: `len` of each. For a caller that pays for each call, and collects first.
 * `taken` as of `tdg_writer_push_times`.
 *
 * Errors: as of `tdg_writer_push`, for the first sample that was not taken.
 */
tdg_status tdg_writer_push_samples(tdg_writer *writer,
                                   const tdg_series *series,
                                   const int64_t *times_ns,
                                   const double *values,
                                   size_t len,
                                   size_t *taken);

/**
 * Pushes a row of any fields: a sample of several values, an event with text. It is cheapest if rows of a series have
 * the same fields in the same order; one of more than 32 takes memory for the call.
 *
 * Errors: `TDG_E_INPUT` also if there is no field, two of one name, text that is no UTF-8 or a `kind` that is none;
 * else as of `tdg_writer_push`.
 */
tdg_status tdg_writer_push_row(tdg_writer *writer,
                               tdg_series series,
                               int64_t time_ns,
                               const tdg_field *fields,
                               size_t fields_len);

/**
 * Pushes rows of one series that come as columns: `len` times, and for each of the columns as many values. `taken` as
 * of `tdg_writer_push_times`. Columns of text take memory for the call, and so do more than 32 of any kind.
 *
 * Errors: as of `tdg_writer_push_row`, for the first row that was not taken.
 */
tdg_status tdg_writer_push_columns(tdg_writer *writer,
                                   tdg_series series,
                                   const int64_t *times_ns,
                                   size_t len,
                                   const tdg_column *columns,
                                   size_t columns_len,
                                   size_t *taken);

/**
 * Writes a body of one of the protocols `TDG_INFLUX` and so on. Rows without a time get the time of the call. Bad rows
 * do not keep the others out. A body that was compressed for its transport (gzip, zstd) is to be undone first; the
 * snappy block of remote write is not.
 *
 * `written`, which may be NULL, is written in any case.
 *
 * Errors: `TDG_E_REJECTED` if rows were rejected, and the others taken; `TDG_E_INPUT` if the body is not of the
 * protocol, of which nothing was taken then, or there is no such protocol; `TDG_E_FULL` if there was no room for the
 * rest of it: what was taken stays, and how the rest comes depends on the protocol:
 *
 * | protocol | after `TDG_E_FULL` |
 * |---|---|
 * | Influx, ndjson, Graphite | go on behind `consumed`: no row comes twice |
 * | VictoriaMetrics' JSON | the same, but values that were taken of the line in which room ended come again |
 * | Prometheus text | the same as Influx, but what `# TYPE` and `# HELP` have said before is not known behind `consumed`: give the lines of the family at hand again before the rest |
 * | OpenMetrics, remote write, OTLP, OpenTSDB, collectd | one message: `consumed` is 0, it comes again whole, and so do the `accepted` rows that were taken of it; a writer that waits for room (`tdg_writer_set_full_wait`) seldom gets there |
 *
 * StatsD is not among the protocols since it is made of counts that are summed up over time, OpenTSDB's telnet and
 * Prometheus' protobuf since they belong to a connection and to a scrape.
 */
tdg_status tdg_writer_write(tdg_writer *writer,
                            int32_t protocol,
                            tdg_str body,
                            tdg_written *written,
                            tdg_error **error);

/**
 * Hands over what was pushed, to be committed at once; waits for nothing. `token`, which may be NULL, gets a token
 * that stands for all rows since the last flush that had any.
 *
 * Errors: `TDG_E_CLOSED`: what was pushed before is committed by the closing; `TDG_E_POISONED`.
 */
tdg_status tdg_writer_flush(tdg_writer *writer,
                            tdg_token *token);

/**
 * Gives a descriptor for the host's own event loop: it becomes readable whenever rows of this writer have come to an
 * end, durable or not, and is readable at first. Read it empty (on Linux it is an eventfd: eight bytes), then ask
 * `tdg_writer_wait` with a timeout of 0 for each token that is still of interest, then poll. It is the writer's, and
 * closed by `tdg_writer_free`: take it out of the loop before that.
 *
 * Errors: `TDG_E_IO` if the process has no descriptor left.
 */
tdg_status tdg_writer_fd(tdg_writer *writer,
                         int32_t *fd);

/**
 * Waits until the rows of a token are on stable storage, at most `timeout_ns`: 0 asks and does not wait, -1 waits for
 * ever. Any thread may wait, while others do and while the writer's own pushes on.
 *
 * Errors: `TDG_E_TIMEOUT` if they are not yet; `TDG_E_IN_DOUBT` if a commit failed, a row found no room in the series
 * table, or the engine ended first: each of the rows is on disk, or not; `TDG_E_INPUT` if the writer gave no such
 * token.
 */
tdg_status tdg_writer_wait(const tdg_writer *writer,
                           tdg_token token,
                           int64_t timeout_ns);

/**
 * Makes a cursor, unless there is one of this name: that stays where it is. It is on disk when this returns, and from
 * then on retention keeps what it has not passed, within data.cursor_size_max. Its `name` has 1 to 64 of the letters
 * and digits of ASCII, `_`, `-` and `.`; `start` is `TDG_CURSOR_OLDEST` or `TDG_CURSOR_NOW`.
 *
 * Errors: `TDG_E_INPUT` if the name or the start cannot be; `TDG_E_LIMIT` if there are 64 cursors; `TDG_E_CLOSED`,
 * `TDG_E_IO`.
 */
tdg_status tdg_cursor_create(const tdg_engine *engine,
                             tdg_str name,
                             int32_t start,
                             tdg_error **error);

/**
 * Removes a cursor, which holds nothing any more when this returns.
 *
 * Errors: `TDG_E_INPUT` if there is none of this name; `TDG_E_LOCKED` if a reader has it; `TDG_E_CLOSED`, `TDG_E_IO`.
 */
tdg_status tdg_cursor_delete(const tdg_engine *engine,
                             tdg_str name,
                             tdg_error **error);

/**
 * Writes how a cursor stands to `stats`, of which the caller says the size: `sizeof(tdg_cursor_stats)`. A smaller
 * struct, of an older header, gets the fields that it has. Looks at the files of the log: some milliseconds, not a
 * counter.
 *
 * Errors: `TDG_E_INPUT` if there is no cursor of this name, or the size is that of no `tdg_cursor_stats`; `TDG_E_IO`.
 */
tdg_status tdg_cursor_look(const tdg_engine *engine,
                           tdg_str name,
                           tdg_cursor_stats *stats,
                           size_t stats_size,
                           tdg_error **error);

/**
 * Begins to read behind a cursor.
 *
 * `reader` gets a handle that the caller owns, for `tdg_reader_free`.
 *
 * Errors: `TDG_E_INPUT` if there is no such cursor; `TDG_E_LOCKED` if a reader has it; `TDG_E_CLOSED`, `TDG_E_IO`.
 */
tdg_status tdg_reader_open(const tdg_engine *engine,
                           tdg_str cursor,
                           tdg_reader **reader,
                           tdg_error **error);

/**
 * Gives the next block, waiting for one at most `timeout_ns` (-1: for ever; 0: not at all): what it is to `block`,
 * and its values to `batches`, a stream of one record batch that the caller owns and releases. A block of which
 * no value could be read gives a stream without a batch. The stream outlives reader and engine. The columns are listed
 * in docs/arrow.md; every block has the same.
 *
 * `block` may be NULL; `batches` may not, and what it holds is not released.
 *
 * Errors: `TDG_E_TIMEOUT` if there is none by then; `TDG_E_CORRUPT` if something before the next block, or in it, is
 * damaged and left out: once for each damaged place, which the message names, and then the calls go on behind it;
 * `TDG_E_LIMIT` if a block has more text than Arrow's columns can count: `block` is written and says which, and it is
 * passed over; `TDG_E_CLOSED` if the engine is closed and there is no more: what its closing committed is given
 * before, and can be committed by the next engine's reader alone, which is given it again; `TDG_E_IO`.
 */
tdg_status tdg_reader_next(tdg_reader *reader,
                           int64_t timeout_ns,
                           tdg_block *block,
                           struct ArrowArrayStream *batches,
                           tdg_error **error);

/**
 * Moves the cursor behind a block that this reader gave, and so behind all earlier ones of its worker; with NULL
 * behind all that it gave, and the damage that it told of. That is on disk when this returns: the blocks do not come
 * again, and retention may take them. Commit what is safe elsewhere, and nothing else.
 *
 * Errors: `TDG_E_INPUT` if the block was not given; `TDG_E_CLOSED` once the engine is closed, since the directory may
 * be another's by then: read and commit before you close; `TDG_E_IO`: the cursor is where it was, or where it was to
 * be.
 */
tdg_status tdg_reader_commit(tdg_reader *reader,
                             const tdg_block *block,
                             tdg_error **error);

/**
 * Frees a reader. Its cursor stays where it was committed. NULL is fine.
 */
void tdg_reader_free(tdg_reader *reader);

/**
 * All rows that a data directory holds now, as a stream of record batches that the caller owns and releases; of one
 * that a process is writing, what is durable. Needs no engine, locks nothing and changes nothing.
 *
 * What is damaged is left out, and not in silence: when all else was given, the stream's `get_next` fails once (`EIO`,
 * and `get_last_error` says how much is missing), then it ends. `tidegate log verify` names each place.
 *
 * Errors: `TDG_E_INCOMPATIBLE` if it is no data directory, or a newer version's; `TDG_E_IO`, also if there is none.
 */
tdg_status tdg_directory_read(tdg_str directory,
                              struct ArrowArrayStream *batches,
                              tdg_error **error);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TIDEGATE_H */
