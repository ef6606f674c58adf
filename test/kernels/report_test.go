package kernels

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
)

// A machine is where suites ran, and what came of them.
type machine struct {
	name    string
	release string // of its kernel
	console string // what its kernel said
	err     error
	runs    []*suiteRun
}

// A suiteRun is what came of a suite, test by test.
type suiteRun struct {
	Run
	tests []*testRun
}

// A testRun is what came of a test, or of one row of a table test.
type testRun struct {
	name   string
	action string // "pass", "fail", "skip"; "" if it never ended
	output string
	isRows bool // it has rows, which count instead of it
}

// add takes note of what came of a suite.
func (m *machine) add(r Run) {
	s, err := newSuiteRun(r)
	m.runs, m.err = append(m.runs, s), errors.Join(m.err, err)
}

// newSuiteRun takes the output of a suite apart, with Go's own tool for that.
func newSuiteRun(r Run) (*suiteRun, error) {
	s := &suiteRun{Run: r}
	cmd := exec.Command("go", "tool", "test2json")
	cmd.Stdin = bytes.NewReader(r.Output)
	events, err := cmd.Output()
	if err != nil {
		return s, fmt.Errorf("go tool test2json: %w", err)
	}
	for d := json.NewDecoder(bytes.NewReader(events)); d.More(); {
		var e struct{ Action, Test, Output string }
		if err := d.Decode(&e); err != nil {
			return s, err
		}
		if e.Test != "" {
			s.test(e.Test).happen(e.Action, e.Output)
		}
	}
	return s, nil
}

// test returns the test of that name, a new one if need be.
func (s *suiteRun) test(name string) *testRun {
	for _, t := range s.tests {
		if t.name == name {
			return t
		}
	}
	if i := strings.LastIndex(name, "/"); i >= 0 {
		s.test(name[:i]).isRows = true
	}
	t := &testRun{name: name}
	s.tests = append(s.tests, t)
	return t
}

func (t *testRun) happen(action, output string) {
	switch action {
	case "pass", "fail", "skip":
		t.action = action
	case "output":
		t.output += output
	}
}

// said returns what the test printed, without the frame around it.
func (t *testRun) said() string {
	frame := regexp.MustCompile(`^(=== |--- )`)
	place := regexp.MustCompile(`^\w+\.go:\d+: *`)
	var lines []string
	for line := range strings.Lines(t.output) {
		if line = strings.TrimSpace(line); !frame.MatchString(line) {
			lines = append(lines, place.ReplaceAllString(line, ""))
		}
	}
	return strings.Join(lines, " ")
}

// report fails t unless every suite ran to its end, all of its tests passed or
// said why not, and some passed. Each test is shown as one of t's own.
func (m *machine) report(t *testing.T) {
	t.Helper()
	if m.err != nil {
		t.Errorf("%v; the console:\n%s", m.err, m.console)
	}
	for _, s := range suites(m.name) {
		t.Run(s.Name, func(t *testing.T) {
			r := m.run(s.Name)
			if r == nil {
				t.Fatalf("it did not run; the console:\n%s", m.console)
			}
			if fault := r.fault(); fault != "" && !r.hasFaults() {
				t.Errorf("%s; the end of the output:\n%s", fault, tail(r.Output))
			}
			for _, test := range r.tests {
				if !test.isRows {
					t.Run(test.name, test.report)
				}
			}
		})
	}
}

// fault says what is wrong with the suite as a whole, "" if nothing is.
func (s *suiteRun) fault() string {
	switch {
	case s.Result != "ok":
		return s.Result
	case s.count("pass") == 0:
		return "not one test passed"
	}
	return ""
}

// hasFaults reports whether something is wrong with one of the tests, which then
// explains the fault of the suite.
func (s *suiteRun) hasFaults() bool {
	return slices.ContainsFunc(s.tests, func(t *testRun) bool { return !t.isRows && t.fault() != "" })
}

func (t *testRun) report(tt *testing.T) {
	if fault := t.fault(); fault != "" {
		tt.Errorf("%s\n%s", fault, t.output)
	} else if t.action == "skip" {
		tt.Skip(t.said())
	}
}

// fault says what is wrong with the test, "" if nothing is.
func (t *testRun) fault() string {
	switch {
	case t.action == "":
		return "it has no end"
	case t.action == "skip" && t.said() == "":
		return "skipped without a reason"
	case t.action == "fail":
		return "failed"
	}
	return ""
}

// tail returns the last lines of a long text.
func tail(text []byte) []byte {
	const most = 4000
	return text[max(0, len(text)-most):]
}

func (m *machine) run(suite string) *suiteRun {
	for _, r := range m.runs {
		if r.Name == suite {
			return r
		}
	}
	return nil
}

// count returns how many tests ended with the action.
func (s *suiteRun) count(action string) int {
	n := 0
	for _, t := range s.tests {
		if !t.isRows && t.action == action {
			n++
		}
	}
	return n
}

// table returns a row for each machine, and below them what was skipped and why.
func table(machines []*machine) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	head := "machine\tkernel"
	for _, s := range suites("") {
		head += "\t" + s.Name
	}
	fmt.Fprintln(w, head+"\tlooks at mounts by")
	for _, m := range machines {
		fmt.Fprintln(w, m.row())
	}
	w.Flush() //nolint:errcheck // it writes to memory
	text.WriteString("tests passed/failed/skipped, and rows of table tests one by one\n")
	for _, l := range leftOut() {
		where := "everywhere"
		if l.on != nil {
			where = "on " + strings.Join(l.on, ", ")
		}
		fmt.Fprintf(&text, "left out %s: %s: %s\n", where, strings.Join(slices.Concat(l.suites, l.tests), ", "), l.why)
	}
	for _, m := range machines {
		for _, s := range m.runs {
			text.WriteString(s.skipped(m.name))
		}
	}
	return text.String()
}

func (m *machine) row() string {
	row := m.name + "\t" + m.release
	wanted := suites(m.name)
	for _, s := range suites("") {
		cell := "did not run"
		if !slices.ContainsFunc(wanted, func(w Suite) bool { return w.Name == s.Name }) {
			cell = "left out"
		} else if r := m.run(s.Name); r != nil {
			cell = fmt.Sprintf("%d/%d/%d %.0f s", r.count("pass"), r.count("fail"), r.count("skip"), r.Took.Seconds())
		}
		row += "\t" + cell
	}
	switch r := m.run("machine"); {
	case r == nil:
		return row + "\tunknown"
	case r.test("TestMachineStatmount").action == "pass":
		return row + "\tstatmount and mountinfo, compared"
	}
	return row + "\tmountinfo"
}

// skipped returns a line for each reason to skip, with the tests it is true for.
func (s *suiteRun) skipped(on string) string {
	var reasons []string
	names := make(map[string][]string)
	for _, t := range s.tests {
		if t.action != "skip" || t.isRows {
			continue
		}
		why := t.said()
		if names[why] == nil {
			reasons = append(reasons, why)
		}
		names[why] = append(names[why], t.name)
	}
	text := ""
	for _, why := range reasons {
		text += fmt.Sprintf("skipped on %s: %s: %s (%s)\n", on, s.Name, why, strings.Join(names[why], ", "))
	}
	return text
}
