package identity

import (
	"testing"

	"videotutorials/components/identity/identitymsg"
	"videotutorials/messagestore/messagestoretest"
)

func TestContract(t *testing.T) {
	t.Parallel()
	messagestoretest.Contract(t, "contract.md",
		identitymsg.Register{}, identitymsg.ConfirmEmail{}, identitymsg.RequestConfirmation{}, identitymsg.RequestPasswordReset{},
		identitymsg.ResetPassword{}, identitymsg.ChangePassword{}, identitymsg.UpgradePasswordHash{}, identitymsg.ChangeEmail{},
		identitymsg.GrantRole{}, identitymsg.RevokeRole{}, identitymsg.ClaimFirstAdmin{},
		identitymsg.Registered{}, identitymsg.RegistrationRejected{}, identitymsg.RegistrationEmailSent{}, identitymsg.RegistrationEmailFailed{},
		identitymsg.EmailConfirmed{}, identitymsg.EmailConfirmationRejected{}, identitymsg.ConfirmationRequested{},
		identitymsg.PasswordResetRequested{}, identitymsg.PasswordChanged{}, identitymsg.PasswordChangeRejected{}, identitymsg.PasswordHashUpgraded{},
		identitymsg.EmailChangeRequested{}, identitymsg.EmailChanged{}, identitymsg.EmailChangeRejected{},
		identitymsg.RoleGranted{}, identitymsg.RoleRevoked{}, identitymsg.RoleChangeRejected{},
		identitymsg.EmailReserved{}, identitymsg.EmailReleased{}, identitymsg.FirstAdminClaimed{}, identitymsg.KeyChosen{})
}
