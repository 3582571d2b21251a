package messagestore

// OwnMessages returns a zero value of each message by which subscriptions keep their
// positions and are steered, by category.
func OwnMessages() map[Category][]Body {
	return map[Category][]Body{
		ControlCategory:  {SubscriptionPaused{}, SubscriptionResumed{}, SubscriptionStepped{}, ParkedStreamRetried{}, ParkedMessageSkipped{}},
		PositionCategory: {read{}, streamReleased{}},
	}
}
