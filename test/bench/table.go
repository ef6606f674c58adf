package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"
)

// noiseLimit is how far p90 and p10 of the empty program may lie apart on a
// machine that is quiet enough to believe the ratios to a few percent.
const noiseLimit = 1.5

// A bar is what a value is held against. Its zero value is no bar.
type bar struct {
	sign       string
	limit, aim float64
}

func atMost(limit, aim float64) bar  { return bar{"≤", limit, aim} }
func atLeast(limit, aim float64) bar { return bar{"≥", limit, aim} }

func (b bar) met(value, wanted float64) bool {
	if b.sign == "≥" {
		return value >= wanted
	}
	return value <= wanted
}

// verdict says whether the value meets the limit, and the aim, too.
func (b bar) verdict(value float64) string {
	switch {
	case b.met(value, b.aim):
		return "aim"
	case b.met(value, b.limit):
		return "yes"
	default:
		return "NO"
	}
}

// A row of the table: times, a value that says how many times something else
// they are or that stands for itself, and the bar for it.
type row struct {
	what  string // empty: the times of the row above
	times []time.Duration
	value float64
	unit  string
	of    string
	bar   bar
}

// row returns the row about the subject a, as multiples of the subject b.
func (s samples) row(what, a, b, of string, limit bar) row {
	r := row{what: what, of: of, bar: limit}
	if what != "" {
		r.times = s[a]
	}
	if b != "" {
		r.value, r.unit = s.ratio(a, b), "×"
	}
	return r
}

func (l *lab) add(r row) { l.rows = append(l.rows, r) }

func (l *lab) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "what\tmedian ms\tp10\tp90\tresult\tof\tbar\taim\tmet")
	for _, r := range l.rows {
		fmt.Fprintln(t, r.cells())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, c := range l.calls {
		c.print(w)
	}
	l.printNoise(w)
	return nil
}

// printNoise says how far the numbers can be believed.
func (l *lab) printNoise(w io.Writer) {
	noise := slices.Max(l.noise)
	fmt.Fprintf(w, "\nnoise: p90/p10 of the empty program was %.2f in the middle and %.2f at worst of %d measurements, limit %.2f\n",
		middle(l.noise), noise, len(l.noise), noiseLimit)
	if l.fewest < l.opts.runs {
		fmt.Fprintf(w, "the machine was so slow that there are only %d runs instead of %d in some measurements\n", l.fewest, l.opts.runs)
	}
	if noise > noiseLimit {
		fmt.Fprintln(w, "THE MACHINE WAS TOO NOISY: run again when nothing else runs before believing this table")
	}
}

func (r row) cells() string {
	s := r.what + "\t"
	if len(r.times) > 0 {
		s += ms(percentile(r.times, 50)) + "\t" + ms(percentile(r.times, 10)) + "\t" + ms(percentile(r.times, 90)) + "\t"
	} else {
		s += "\t\t\t"
	}
	if r.unit == "" {
		return s + "\t" + r.of + "\t\t\t"
	}
	s += fmt.Sprintf("%.2f %s\t%s\t", r.value, r.unit, r.of)
	if r.bar == (bar{}) {
		return s + "\t\t"
	}
	return s + fmt.Sprintf("%s %.2f\t%.2f\t%s", r.bar.sign, r.bar.limit, r.bar.aim, r.bar.verdict(r.value))
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond))
}

// middle returns the median of the values.
func middle[T cmp.Ordered](values []T) T {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// thousands writes a number with commas.
func thousands(n int) string {
	s := strconv.Itoa(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
