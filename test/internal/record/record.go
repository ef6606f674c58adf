// Package record is what the CNI plugin record and the tests that have it in their
// chains agree on.
package record

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cni-bpffs/cni-bpffs/test/internal/plugintest"
)

// A Call is what the plugin notes of a call, one line of JSON.
type Call struct {
	Command     string
	ContainerID string
	NetNS       string
	MountNS     string          // the plugin's
	Label       string          // of the configuration
	PrevResult  json.RawMessage `json:",omitempty"`
}

// Paths returns the paths that the previous result has.
func (c Call) Paths() ([]string, error) {
	if c.PrevResult == nil {
		return nil, nil
	}
	return plugintest.Paths(string(c.PrevResult))
}

// A Config is what the plugin reads of its network configuration.
type Config struct {
	Log        string          `json:"log"`     // the file to append to
	FailAdd    string          `json:"failAdd"` // while this file exists, ADD fails
	Label      string          `json:"label"`
	PrevResult json.RawMessage `json:"prevResult"`
}

// Append writes the call with one system call, so that calls at the same time do
// not mix.
func (c Call) Append(file string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	return json.NewEncoder(f).Encode(c)
}

// Read returns the calls in the file; none if it is missing.
func Read(file string) (calls []Call, err error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for d := json.NewDecoder(f); ; {
		var c Call
		err := d.Decode(&c)
		if errors.Is(err, io.EOF) {
			return calls, nil
		}
		if err != nil {
			return nil, err
		}
		calls = append(calls, c)
	}
}
