using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

public sealed class StudioUser : IdentityUser
{
    public string DisplayName { get; set; } = "";

    /// The first account, made with the setup code: may change what concerns the whole server.
    public bool IsAdministrator { get; set; }

    public DateTime CreatedAt { get; set; }
}
