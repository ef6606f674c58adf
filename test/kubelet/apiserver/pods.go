package main

import (
	"cmp"
	"context"
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/kubernetes/pkg/apis/core"
	"k8s.io/kubernetes/pkg/registry/core/pod"
)

// applyPod creates or updates a pod, which must pass the policies. Without a
// namespace it is in that which kubectl takes.
func (s *server) applyPod(p *core.Pod) (err error) {
	p.Namespace = cmp.Or(p.Namespace, metav1.NamespaceDefault)
	if s.admit == nil {
		if s.admit, err = newAdmitter(s.policies); err != nil {
			return err
		}
	}
	old := s.pods[p.Name]
	if old == nil {
		err = s.createPod(p)
	} else {
		err = s.updatePod(p, old)
	}
	if err == nil {
		s.pods[p.Name] = p
	}
	return err
}

func (s *server) createPod(p *core.Pod) error {
	if err := create(p); err != nil {
		return err
	}
	return s.admit.pod(p, nil, "", admission.Create)
}

// updatePod goes through the subresource if there are other ephemeral containers
// than before.
func (s *server) updatePod(p, old *core.Pod) error {
	strategy, subresource := rest.RESTUpdateStrategy(pod.Strategy), ""
	if !reflect.DeepEqual(p.Spec.EphemeralContainers, old.Spec.EphemeralContainers) {
		strategy, subresource = pod.EphemeralContainersStrategy, "ephemeralcontainers"
	}
	p.ResourceVersion, p.UID, p.CreationTimestamp = "1", old.UID, old.CreationTimestamp
	ctx := request.WithNamespace(context.Background(), p.Namespace)
	if err := rest.BeforeUpdate(strategy, ctx, p, old); err != nil {
		return err
	}
	return s.admit.pod(p, old, subresource, admission.Update)
}
