package errlist

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// TestMessagesAreBounded: the text of many errors is that of a few, but all of them
// are there for errors.Is.
func TestMessagesAreBounded(t *testing.T) {
	errs := func(n int) (all []error) {
		for i := range n {
			all = append(all, fmt.Errorf("error %d", i))
		}
		return all
	}
	for _, row := range []struct {
		name string
		errs []error
		want string
	}{
		{"one", errs(1), "error 0"},
		{"some", errs(3), "error 0; error 1; error 2"},
		{"one more", errs(4), "error 0; error 1; error 2; and 1 more"},
		{"many", errs(1000), "error 0; error 1; error 2; and 997 more"},
		{"with nil", []error{nil, errs(1)[0], nil}, "error 0"},
		{"joined before", []error{Join(errs(50)...), nil, Join(errs(50)...)}, "error 0; error 1; error 2; and 97 more"},
		{"wrapped", []error{fmt.Errorf("a: %w", Join(errs(5)...)), errs(1)[0]}, "a: error 0; error 1; error 2; and 2 more; error 0"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := Join(append(row.errs, nil)...)
			if err == nil || err.Error() != row.want {
				t.Errorf("Join: got %v, want %q", err, row.want)
			}
			last := Join(Join(append(row.errs, errs(9)...)...), fs.ErrClosed)
			if !errors.Is(last, fs.ErrClosed) || strings.Contains(last.Error(), fs.ErrClosed.Error()) {
				t.Errorf("Join with one more: got %q, want the last to be in it but not told", last)
			}
		})
	}
	if err := Join(nil, nil, Join()); err != nil {
		t.Errorf("Join of nothing: got %v, want nil", err)
	}
}
