// Events with text, written, made durable and read back.
//
//     c++ -std=c++17 events.cpp -o events $(pkg-config --cflags --libs tidegate)
//     ./events DIRECTORY
//
// Each run writes two events, and prints how many rows it has had from the log since the last run.
#include <cstdio>
#include <tidegate.hpp>

int main(int argc, char **argv) {
    using namespace std::chrono_literals;
    if (argc != 2) return std::fprintf(stderr, "usage: events DIRECTORY\n"), 2;
    try {
        tidegate::options options;
        options.set("data.directory", argv[1]);
        tidegate::engine engine(options);
        engine.create_cursor("events");
        tidegate::writer writer(engine);
        const auto door = engine.series("door", {{"house", "a"}});
        const bool taken = writer.push(door, tidegate::now, {{"what", "opened"}, {"by", "the cat"}, {"times", 2}}) &&
                           writer.push(door, std::chrono::system_clock::now(), {{"what", "shut"}, {"wind", true}});
        if (!taken) return std::fprintf(stderr, "no room\n"), 1;
        if (!writer.wait(writer.flush(), 10s)) return std::fprintf(stderr, "not on disk yet\n"), 1;

        tidegate::reader reader(engine, "events");
        unsigned rows = 0;
        while (const auto block = reader.next(0s)) {
            rows += block->rows;
            reader.commit(*block); // Here its values would be safe elsewhere.
        }
        std::printf("%u\n", rows);
        return engine.close(10s) ? 0 : 1;
    } catch (const tidegate::error &error) {
        return std::fprintf(stderr, "events: %s\n", error.what()), 1;
    }
}
