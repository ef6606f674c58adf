package lost

import (
	"slices"
	"testing"
	"time"
)

// An event is one look: when it was, and which records it found gone.
type event struct {
	at   time.Duration
	gone []record
	lost []record // what is then to be released
}

func TestDecide(t *testing.T) {
	const after = 10 * time.Minute
	a, b := record{"/b", 1, "first"}, record{"/b", 2, "first"}
	again, elsewhere := record{"/b", 1, "second"}, record{"/other", 1, "first"}
	both := []record{a, b}
	for name, events := range map[string][]event{
		"one look says nothing":          {{0, both, nil}},
		"long after, but the first look": {{time.Hour, both, nil}},
		"too soon":                       {{0, both, nil}, {after - 1, both, nil}},
		"ten minutes apart":              {{0, both, nil}, {after, both, both}},
		"looks in between":               {{0, both, nil}, {after / 2, both, nil}, {after, both, both}},
		"not released, so again":         {{0, both, nil}, {after, both, both}, {after + 1, both, both}},
		"one later than the other":       {{0, both[:1], nil}, {1, both, nil}, {after, both, both[:1]}, {after + 1, both, both}},
		"there or unknown in between":    {{0, both, nil}, {after / 2, both[:1], nil}, {after, both, both[:1]}, {2 * after, both, both}},
		"not looked in between":          {{0, both, nil}, {after - 1, nil, nil}, {after, both, nil}, {2 * after, both, both}},
		"added again":                    {{0, both[:1], nil}, {after, []record{again}, nil}, {2 * after, []record{again}, []record{again}}},
		"another bpffs":                  {{0, both[:1], nil}, {after, []record{elsewhere}, nil}},
	} {
		var s suspects
		for _, e := range events {
			var lost []record
			lost, s = s.decide(e.gone, e.at, after)
			if !slices.Equal(lost, e.lost) {
				t.Errorf("%s: at %v: got %v, want %v", name, e.at, lost, e.lost)
			}
		}
	}
}
