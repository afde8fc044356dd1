package tidegate

import (
	"context"
	"errors"
	"testing"
	"unsafe"
)

// Handles on something of Go's, whose freeing the test sees.

func TestClosingWaitsForNoCallAndTheLastCallFrees(t *testing.T) {
	var owned byte
	freed := make(chan struct{})
	h := own(unsafe.Pointer(&owned), func(unsafe.Pointer) { close(freed) })
	for range [2]int{} {
		if ptr, err := h.hold(); err != nil || ptr != unsafe.Pointer(&owned) {
			t.Fatal(ptr, err)
		}
	}
	// Were it to wait for the two calls, this would be the end.
	h.close()
	h.close()
	if _, err := h.hold(); err != ErrClosed {
		t.Fatal("a closed handle gives no more calls:", err)
	}
	h.drop()
	select {
	case <-freed:
		t.Fatal("a call is under way on what was freed")
	default:
	}
	h.drop()
	<-freed
}

func TestClosingAnIdleHandleFreesItOnce(t *testing.T) {
	var owned byte
	freed := 0
	h := own(unsafe.Pointer(&owned), func(unsafe.Pointer) { freed++ })
	h.close()
	h.close()
	h.closeWithin(context.Background())
	if freed != 1 {
		t.Fatal(freed)
	}
}

func TestAContextEndsTheWaitForWhatIsSlowToFree(t *testing.T) {
	var owned byte
	release, freed := make(chan struct{}), make(chan struct{})
	h := own(unsafe.Pointer(&owned), func(unsafe.Pointer) { <-release; close(freed) })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	h.closeWithin(ctx)
	close(release)
	<-freed
}

func TestErrorsSayWhetherRowsAreInDoubt(t *testing.T) {
	for status, doubt := range map[Status]bool{
		ErrInDoubt: true, ErrPoisoned: true, ErrInternal: true, ErrInput: false, ErrFull: false, ErrLocked: false,
	} {
		for _, err := range []error{status, &Error{Status: status, Message: "m"}, errors.Join(errors.New("a"), status)} {
			if InDoubt(err) != doubt {
				t.Errorf("%v: %v", err, !doubt)
			}
		}
	}
	if InDoubt(nil) || InDoubt(errors.New("another's")) {
		t.Error("what is not tidegate's says nothing of rows")
	}
}
