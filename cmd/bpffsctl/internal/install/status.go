package install

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/input"
	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/output"
)

// lookedWithin is how old the last look of [Installer.Watch] may be: it looks every
// minute, and a look can wait for the plugin and for another install.
const lookedWithin = 3 * always

// A Status is what the last look of [Installer.Watch] found on the node. The names of
// its JSON fields are those of the status file, which only bpffsctl reads.
type Status struct {
	Looked   time.Time `json:"looked"`             // when the look ended
	Ready    bool      `json:"ready"`              // the plugin and its configuration are in place
	Reason   string    `json:"reason,omitempty"`   // why not
	Restored int       `json:"restored,omitempty"` // looks that put back what somebody had undone
}

// ReadStatus reads what [Status.Save] wrote.
func ReadStatus(path string) (s Status, err error) {
	data, err := input.ReadFile(path)
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(data, &s); err != nil {
		return s, fmt.Errorf("%s: not a status file of bpffsctl install --watch: %w", path, err)
	}
	return s, nil
}

// Save writes the status to a file, which others see whole: the old one or the new
// one. It also replaces a file that is none of ours.
func (s Status) Save(path string) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	temp := path + ".new"
	if err := os.WriteFile(temp, data, 0o644); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// Live returns nil if install looks at the node again and again, else what it does
// not do.
func (s Status) Live(now time.Time) error {
	if age := now.Sub(s.Looked); age > lookedWithin {
		return fmt.Errorf("install --watch has not looked at the node for %v", age.Round(time.Second))
	}
	return nil
}

// Installed returns nil if install looks at the node and everything is in place, else
// what it waits for.
func (s Status) Installed(now time.Time) error {
	if err := s.Live(now); err != nil {
		return err
	}
	if !s.Ready {
		return errors.New(cmp.Or(s.Reason, "not installed"))
	}
	return nil
}

// after returns the status after a look that ended with err.
func (s Status) after(err error, restored bool) Status {
	s.Ready, s.Reason = err == nil, ""
	if err != nil {
		s.Reason = "waiting: " + strings.ReplaceAll(output.Error(err), "\n", "; ")
	}
	if restored {
		s.Restored++
	}
	return s
}

// report tells of the status, now.
func (in Installer) report(s Status) {
	if in.Report != nil {
		s.Looked = time.Now()
		in.Report(s)
	}
}
