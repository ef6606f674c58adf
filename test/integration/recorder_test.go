package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
)

// A call that the recorder writes down.
type recorded struct {
	Verb, Label string
	Conf        struct {
		Label      string          `json:"label"`
		Fail       string          `json:"fail"` // the verb to fail at
		PrevResult json.RawMessage `json:"prevResult"`
	}
}

// record is the CNI plugin: it appends what it gets to a file and hands the
// result on.
func record() error {
	r := recorded{Verb: os.Getenv("CNI_COMMAND")}
	if r.Verb == "VERSION" {
		_, err := fmt.Println(`{"cniVersion":"1.1.0","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}`)
		return err
	}
	if err := json.NewDecoder(os.Stdin).Decode(&r.Conf); err != nil {
		return err
	}
	r.Label = r.Conf.Label
	f, err := os.OpenFile(recordFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := json.NewEncoder(f).Encode(r); err != nil {
		return err
	}
	if r.Verb == r.Conf.Fail {
		return errors.Join(types.NewError(types.ErrInternal, "as it was told", "").Print(), errors.New("failed"))
	}
	if r.Verb == "ADD" {
		_, err = os.Stdout.Write(r.Conf.PrevResult)
	}
	return err
}

// records returns the calls of the recorders so far.
func records(t *testing.T) []recorded {
	t.Helper()
	f, err := os.Open(recordFile)
	must(t, err)
	defer f.Close()
	var all []recorded
	for d := json.NewDecoder(f); ; {
		var r recorded
		err := d.Decode(&r)
		if errors.Is(err, io.EOF) {
			return all
		}
		must(t, err)
		all = append(all, r)
	}
}

// verbs returns the verbs with which the recorder of the label was called.
func verbs(t *testing.T, label string) []string {
	t.Helper()
	var all []string
	for _, r := range records(t) {
		if r.Label == label {
			all = append(all, r.Verb)
		}
	}
	return all
}

// added returns the prevResult that the recorder of the label got with its only
// ADD.
func added(t *testing.T, label string) string {
	t.Helper()
	var results []string
	for _, r := range records(t) {
		if r.Label == label && r.Verb == "ADD" {
			results = append(results, string(r.Conf.PrevResult))
		}
	}
	if len(results) != 1 {
		t.Fatalf("the recorder %q got %d ADD, want one", label, len(results))
	}
	return results[0]
}
