package lost

import (
	"maps"
	"testing"
	"time"
)

// An event is one look: when it ended, and which records it found gone.
type event struct {
	at   time.Duration
	gone []record
	lost []record      // what is then to be released
	took time.Duration // from its begin to its end
}

func TestDecide(t *testing.T) {
	const after = 10 * time.Minute
	a, b := record{"/b", 1, "first"}, record{"/b", 2, "first"}
	again, elsewhere := record{"/b", 1, "second"}, record{"/other", 1, "first"}
	both := []record{a, b}
	for name, events := range map[string][]event{
		"one look says nothing":          {{0, both, nil, 0}},
		"long after, but the first look": {{time.Hour, both, nil, 0}},
		"too soon":                       {{0, both, nil, 0}, {after - 1, both, nil, 0}},
		"ten minutes apart":              {{0, both, nil, 0}, {after, both, both, 0}},
		"looks in between":               {{0, both, nil, 0}, {after / 2, both, nil, 0}, {after, both, both, 0}},
		"not released, so again":         {{0, both, nil, 0}, {after, both, both, 0}, {after + 1, both, both, 0}},
		"one later than the other":       {{0, both[:1], nil, 0}, {1, both, nil, 0}, {after, both, both[:1], 0}, {after + 1, both, both, 0}},
		"there or unknown in between":    {{0, both, nil, 0}, {after / 2, both[:1], nil, 0}, {after, both, both[:1], 0}, {2 * after, both, both, 0}},
		"not looked in between":          {{0, both, nil, 0}, {after - 1, nil, nil, 0}, {after, both, nil, 0}, {2 * after, both, both, 0}},
		"added again":                    {{0, both[:1], nil, 0}, {after, []record{again}, nil, 0}, {2 * after, []record{again}, []record{again}, 0}},
		"a look that took long":          {{0, both, nil, 0}, {after, both, nil, 1}, {after + 1, both, both, 1}},
		"another bpffs":                  {{0, both[:1], nil, 0}, {after, []record{elsewhere}, nil, 0}},
	} {
		var s suspects
		for _, e := range events {
			var lost map[record]bool
			lost, s = s.decide(e.gone, e.at-e.took, e.at, after)
			want := make(map[record]bool)
			for _, r := range e.lost {
				want[r] = true
			}
			if !maps.Equal(want, lost) {
				t.Errorf("%s: at %v: got %v, want %v", name, e.at, lost, want)
			}
		}
	}
}
