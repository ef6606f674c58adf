package install

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// Who has changed little is answered at once, who changes much more and more
// slowly, and after a while of rest at once again.
func TestPause(t *testing.T) {
	start := time.Now()
	for _, tt := range []struct {
		changes int
		after   time.Duration
		want    time.Duration
	}{
		{0, 0, 0},
		{3, 0, 0}, // binary, removal of the other way, configuration
		{4, 0, quiet},
		{6, 0, 9 * quiet},
		{100, 0, pauseMost},
		{100, fightTime + time.Second, 0},
	} {
		h := history{}
		for range tt.changes {
			h.changes = append(h.changes, start)
		}
		if got := h.pause(start.Add(tt.after)); got != tt.want {
			t.Errorf("after %d changes and %v: %v, want %v", tt.changes, tt.after, got, tt.want)
		}
	}
}

// The log has each change and each new error once, and says when there is a fight.
func TestHistory(t *testing.T) {
	var lines []string
	h := history{log: func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }}
	for _, err := range []error{errors.New("a"), errors.New("a"), errors.New("b"), nil, nil, errors.New("b")} {
		h.outcome(err)
	}
	if got, want := strings.Join(lines, ","), "waiting: a,waiting: b,waiting: b"; got != want {
		t.Errorf("errors are logged as %q, want %q", got, want)
	}
	lines = nil
	for range fightMany + 5 {
		h.change("changed")
	}
	if len(lines) != fightMany+6 || !strings.Contains(lines[fightMany], "undoing") {
		t.Errorf("changes are logged as %q, want one line each and one of the fight", lines)
	}
}
