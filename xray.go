package main

import (
	"embed"

	"videotutorials/app/web"
	"videotutorials/app/xray"
	"videotutorials/components/viewing/viewingmsg"
	"videotutorials/messagestore"
)

//go:embed docs/walkthrough.md docs/registration.md docs/publishing.md
var walkthroughs embed.FS

// newXRay returns what shows people the way of their own clicks, nil where that is off.
func (p *program) newXRay(secret []byte, sessions *web.Sessions) *xray.App {
	if !p.config.xray() {
		return nil
	}
	return xray.New(xray.Config{
		Store: p.store, Recorder: p.recorder, Sessions: sessions, Hub: p.hub, Log: p.log, Secret: secret, Documents: walkthroughs,
		// Who watches a lesson without being logged in is nobody in particular.
		Open: []messagestore.Category{viewingmsg.Category},
	})
}
