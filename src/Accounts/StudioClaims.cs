using System.Security.Claims;
using Microsoft.AspNetCore.Identity;
using Microsoft.Extensions.Options;

namespace FineTuneStudio.Accounts;

/// Adds to a sign-in how the person is called, for the header of every page.
public sealed class StudioClaims(UserManager<StudioUser> users, IOptions<IdentityOptions> options) : UserClaimsPrincipalFactory<StudioUser>(users, options)
{
    protected override async Task<ClaimsIdentity> GenerateClaimsAsync(StudioUser user)
    {
        var identity = await base.GenerateClaimsAsync(user);
        if (user.DisplayName.Length > 0) identity.AddClaim(new Claim("name", user.DisplayName));
        return identity;
    }
}
