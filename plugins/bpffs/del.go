package main

import "github.com/cni-bpffs/cni-bpffs/pkg/bpffs"

// Del removes the pins and the endpoint ID of the attachment wherever they are.
// It succeeds where there is nothing. Of the configuration it uses only the name
// of the network and the roots.
func (p *plugin) Del(c call) error {
	roots, unseen := p.usableRoots(c)
	_, err := p.eachRecords(c, roots, unseen, func(e *bpffs.Endpoints) (found bool, err error) {
		p.warnOfWay(e)
		_, err = e.ID(c.attachment())
		return err == nil, e.Release(c.attachment())
	})
	return err
}

// warnOfWay warns of a root that others can move or detach. What is recorded there
// must go all the same: the records that are open are ours.
func (p *plugin) warnOfWay(e *bpffs.Endpoints) {
	if err := e.CheckWay(); err != nil {
		p.warn("%v", err)
	}
}
