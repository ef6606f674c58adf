package doctor

import (
	"strings"

	"github.com/cni-bpffs/cni-bpffs/cmd/bpffsctl/internal/inventory"
)

// A Status says how bad a finding is.
type Status string

// The pods of a node work in spite of a warning; with a failure they do not, or
// will not for long, or leave something behind. Skipped is a check that cannot look
// because of what another one says.
const (
	OK      Status = "ok"
	Warning Status = "warning"
	Failure Status = "failure"
	Skipped Status = "skipped"
)

// A Finding is what one check says.
type Finding struct {
	Check  string `json:"check"`
	Looked string `json:"looked"` // what it looked at
	Status Status `json:"status"`
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"` // what to type, unless the status is ok

	Because string `json:"because,omitempty"` // the check that says why this one was skipped

	Endpoints []inventory.Identity `json:"endpoints,omitempty"` // that it is about
}

// Failed reports whether there is a failure among the findings.
func Failed(findings []Finding) bool { return count(findings, Failure) > 0 }

func count(findings []Finding, s Status) (n int) {
	for _, f := range findings {
		if f.Status == s {
			n++
		}
	}
	return n
}

// pass, warn and fail return one finding; the name of the check is added later.
func pass(looked, detail string) []Finding {
	return []Finding{{Looked: looked, Status: OK, Detail: detail}}
}

func warn(looked, detail, fix string) []Finding {
	return []Finding{{Looked: looked, Status: Warning, Detail: without(looked, detail), Fix: fix}}
}

func fail(looked, detail, fix string) []Finding {
	return []Finding{{Looked: looked, Status: Failure, Detail: without(looked, detail), Fix: fix}}
}

// or returns what was found, or that the check passed if there is nothing.
func or(found []Finding, looked, detail string) []Finding {
	if len(found) > 0 {
		return found
	}
	return pass(looked, detail)
}

// about adds the endpoints that the finding is about.
func about(endpoints []inventory.Endpoint, found []Finding) []Finding {
	for _, e := range endpoints {
		found[0].Endpoints = append(found[0].Endpoints, e.Identity)
	}
	return found
}

// without takes away that an error begins with the path, which stands before it.
func without(looked, detail string) string {
	return strings.TrimPrefix(detail, looked+": ")
}

func notLooked(looked, because string) []Finding {
	return []Finding{{
		Looked: looked, Status: Skipped, Detail: "not checked, because of the result of " + because,
		Fix: "fix that first, then: bpffsctl doctor", Because: because,
	}}
}
