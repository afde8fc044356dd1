// Forward embeds the engine and hands on what its reader gives, at least once, whenever it is killed.
//
//	go run ./examples/forward DIRECTORY FILE
//
// Each run writes three rows about itself, and then appends all that the file lacks, one line of JSON a value. The file
// is synced before the cursor is moved, and its directory when it is made: a crash in between brings a block again, never
// a gap. Worker, Sequence and Row say which values a reader of the file has had already.
//
// What JSON cannot say is said in other words: floats that are not finite as "+Inf", "NaN", "NaN:" and their bits; bytes,
// and strings that are not UTF-8, as {"Base64":"..."}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	"tidegate.dev/go/tidegate"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: forward DIRECTORY FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "forward:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, directory, path string) (err error) {
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := syncDirectory(filepath.Dir(path)); err != nil {
		return err
	}
	engine, err := tidegate.Open(tidegate.Options{Directory: directory})
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		err = errors.Join(err, engine.Close(ctx))
	}()
	if err := engine.CreateCursor("forward", tidegate.Oldest); err != nil {
		return err
	}
	if err := write(ctx, engine); err != nil {
		return err
	}
	reader, err := engine.Reader("forward")
	if err != nil {
		return err
	}
	defer reader.Close()
	// Asked with a context that has ended, the reader does not wait: without a block all is taken. A service passes
	// ctx instead, and waits for more.
	ended, end := context.WithCancel(ctx)
	end()
	for {
		block, stream, err := reader.Next(ended)
		if errors.Is(err, tidegate.ErrTimeout) {
			return ctx.Err()
		}
		if errors.Is(err, tidegate.ErrCorrupt) {
			// Told once, and left out: it goes on behind the damage.
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		if err != nil {
			return err
		}
		if err := forward(out, stream); err != nil {
			return err
		}
		if err := reader.Commit(block); err != nil {
			return err
		}
	}
}

// write pushes two samples and an event, and waits until they are on stable storage.
func write(ctx context.Context, engine *tidegate.Engine) error {
	writer, err := engine.Writer()
	if err != nil {
		return err
	}
	defer writer.Close()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	host, _ := os.Hostname()
	var batch tidegate.Batch
	for name, value := range map[string]float64{
		"go_goroutines": float64(runtime.NumGoroutine()), "go_heap_bytes": float64(memory.HeapAlloc),
	} {
		series, err := engine.Series(name, tidegate.Label{Name: "host", Value: host})
		if err != nil {
			return err
		}
		batch.Add(series, tidegate.Now, value)
	}
	if err := writer.Push(&batch); err != nil {
		return err
	}
	started, err := engine.Series("go_started", tidegate.Label{Name: "host", Value: host})
	if err != nil {
		return err
	}
	events := tidegate.Strings("version", []string{runtime.Version()})
	if _, err := writer.PushColumns(started, []int64{tidegate.Now}, events); err != nil {
		return err
	}
	token, err := writer.Flush()
	if err != nil {
		return err
	}
	return writer.Wait(ctx, token)
}

// forward appends a block's values and syncs them.
func forward(out *os.File, stream *tidegate.Stream) error {
	defer stream.Close()
	buffered := bufio.NewWriter(out)
	lines := json.NewEncoder(buffered)
	err := stream.Each(func(value tidegate.Value) error {
		switch v := value.Value.(type) {
		case float64:
			value.Value = number(v)
		case []byte:
			value.Value = struct{ Base64 []byte }{v}
		}
		return lines.Encode(value)
	})
	if err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return err
	}
	return out.Sync()
}

// number gives a float as JSON can have it, with every bit.
func number(f float64) any {
	switch bits := math.Float64bits(f); {
	case math.IsInf(f, 0):
		return fmt.Sprintf("%+v", f)
	case bits == 0x7ff8000000000001:
		return "NaN"
	case math.IsNaN(f):
		return fmt.Sprintf("NaN:%016x", bits)
	default:
		return f
	}
}

// syncDirectory has the name of a new file survive a crash.
func syncDirectory(path string) error {
	directory, err := os.Open(path)
	if err != nil {
		return err
	}
	defer directory.Close()
	return directory.Sync()
}
