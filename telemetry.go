package main

import (
	"github.com/labstack/echo/v4"

	"videotutorials/app/web"
)

// answered is told of every request.
func (p *program) answered(_ echo.Context, a web.Answer) {
	p.recorder.Request(a.Route, a.Status, a.Began, a.Ended, a.Wrote)
}
