package plugintest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// An Answer is what a plugin gives back.
type Answer struct {
	Stdout, Stderr string
	Status         int // -1 for a plugin that was killed
}

// Run runs a command to its end, whatever that is.
func Run(cmd *exec.Cmd) (Answer, error) {
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	_, exited := errors.AsType[*exec.ExitError](err)
	if err != nil && !exited && !errors.Is(err, syscall.EPIPE) { // EPIPE: it ended before it read all
		return Answer{}, err
	}
	return Answer{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}, nil
}

// An Error is an error as the CNI specification has it.
type Error struct {
	CNIVersion string `json:"cniVersion"`
	Code       uint   `json:"code"`
	Msg        string `json:"msg"`
	Details    string `json:"details"`
}

// Error refuses standard output that is not exactly one CNI error.
func (a Answer) Error() (e Error, err error) {
	d := json.NewDecoder(strings.NewReader(a.Stdout))
	d.DisallowUnknownFields()
	err = d.Decode(&e)
	if err == nil && d.More() {
		err = errors.New("more than one JSON value on standard output")
	}
	return e, err
}

// WantError wants the answer to a call to be the CNI error code, and nothing but
// it, with all the parts in its message and details, which it returns.
func (a Answer) WantError(tb testing.TB, call string, code uint, parts ...string) string {
	tb.Helper()
	e, err := a.Error()
	if a.Status != 1 || err != nil || e.Code != code || e.Msg == "" {
		tb.Errorf("%s: got %.1000q (%v), want exit status 1 and the CNI error code %d", call, fmt.Sprint(a), err, code)
	}
	says := e.Msg + "; " + e.Details
	if !Contains(says, parts...) {
		tb.Errorf("%s: got the message %.1000q, want %q in it", call, says, parts)
	}
	return says
}

// Contains reports whether the text has all the parts.
func Contains(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}

// Paths returns the names of the interfaces in a CNI result that are paths, as a
// shell script would find them.
func Paths(result string) (paths []string, err error) {
	var r struct{ Interfaces []struct{ Name string } }
	if err := json.Unmarshal([]byte(result), &r); err != nil {
		return nil, fmt.Errorf("result %q: %w", result, err)
	}
	for _, i := range r.Interfaces {
		if strings.HasPrefix(i.Name, "/") {
			paths = append(paths, i.Name)
		}
	}
	return paths, nil
}

// Paths returns the paths in the result of an ADD.
func (a Answer) Paths() ([]string, error) { return Paths(a.Stdout) }

// ID returns the endpoint ID in the result of an ADD of at least one map.
func (a Answer) ID() (string, error) {
	paths, err := a.Paths()
	if err == nil && len(paths) == 0 {
		err = fmt.Errorf("no path in the result %q", a.Stdout)
	}
	if err != nil {
		return "", err
	}
	return IDOf(paths[0]), nil
}

// IDOf returns the endpoint ID at the end of the path of a local map.
func IDOf(path string) string {
	return path[len(path)-len("00000"):]
}
