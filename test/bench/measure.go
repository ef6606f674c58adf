package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// A command is a process to start.
type command struct {
	argv  []string
	env   []string
	stdin []byte
}

// An outcome is what a process did. took is from before its start until its end
// is known.
type outcome struct {
	took           time.Duration
	stdout, stderr []byte
}

// run runs the process. What it reads and writes has to fit into a pipe.
func (c command) run() (outcome, error) {
	var o outcome
	in, err := newPipe()
	if err != nil {
		return o, err
	}
	defer in.close()
	out, err := newPipe()
	if err != nil {
		return o, err
	}
	defer out.close()
	log, err := newPipe()
	if err != nil {
		return o, err
	}
	defer log.close()
	if _, err := in.w.Write(c.stdin); err != nil {
		return o, err
	}
	in.w.Close()

	start := time.Now()
	p, err := os.StartProcess(c.argv[0], c.argv, &os.ProcAttr{Env: c.env, Files: []*os.File{in.r, out.w, log.w}})
	if err != nil {
		return o, err
	}
	state, err := p.Wait()
	o.took = time.Since(start)
	if err != nil {
		return o, err
	}
	if o.stdout, err = out.drain(); err != nil {
		return o, err
	}
	if o.stderr, err = log.drain(); err == nil && !state.Success() {
		err = fmt.Errorf("%v: %v: %s%s", c.argv, state, o.stdout, o.stderr)
	}
	return o, err
}

type pipe struct{ r, w *os.File }

func newPipe() (pipe, error) {
	r, w, err := os.Pipe()
	return pipe{r, w}, err
}

// drain returns what was written into the pipe.
func (p pipe) drain() ([]byte, error) {
	p.w.Close()
	return io.ReadAll(p.r)
}

func (p pipe) close() {
	p.r.Close()
	p.w.Close()
}

// runAtOnce runs the commands at the same time and returns how long all took, and
// each.
func runAtOnce(commands []command) (took time.Duration, each []time.Duration, err error) {
	errs := make([]error, len(commands))
	each = make([]time.Duration, len(commands))
	var all sync.WaitGroup
	start := time.Now()
	for i, c := range commands {
		all.Go(func() {
			_, errs[i] = c.run()
			each[i] = time.Since(start)
		})
	}
	all.Wait()
	return time.Since(start), each, errors.Join(errs...)
}

// A subject is something to measure: once returns how long it took this time.
type subject struct {
	name string
	once func() (time.Duration, error)
}

// A subject that is much slower than the others is measured for slowBudget, and
// subjects in turn for roundBudget, longer with more than 200 runs, so that a busy
// machine cannot take hours; but each at least slowRuns times.
const (
	slowBudget  = 4 * time.Second
	roundBudget = 20 * time.Second
	slowRuns    = 15
)

// samples are the sorted times of each subject by its name.
type samples map[string][]time.Duration

// interleave measures the subjects in turn, runs times. What the first two
// rounds take is not counted: caches fill.
func interleave(runs int, subjects ...subject) (samples, error) {
	s := make(samples)
	spent := make(map[string]time.Duration)
	end := time.Now().Add(max(roundBudget, roundBudget*time.Duration(runs)/200))
	for round := range runs + 2 {
		if round >= slowRuns+2 && time.Now().After(end) {
			break
		}
		for _, sub := range subjects {
			if spent[sub.name] > slowBudget && len(s[sub.name]) >= slowRuns {
				continue
			}
			took, err := sub.once()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", sub.name, err)
			}
			spent[sub.name] += took
			if round >= 2 {
				s[sub.name] = append(s[sub.name], took)
			}
		}
	}
	for _, times := range s {
		slices.Sort(times)
	}
	return s, nil
}

// percentile returns the time below which p percent of the sorted times are.
func percentile(times []time.Duration, p int) time.Duration {
	if len(times) == 0 {
		return 0
	}
	return times[(len(times)-1)*p/100]
}

func (s samples) median(name string) time.Duration { return percentile(s[name], 50) }

// ratio returns how many times the median of b the median of a is.
func (s samples) ratio(a, b string) float64 {
	return float64(s.median(a)) / float64(s.median(b))
}

// noise returns how far the fast and the slow runs of a subject lie apart.
func (s samples) noise(name string) float64 {
	return float64(percentile(s[name], 90)) / float64(percentile(s[name], 10))
}
