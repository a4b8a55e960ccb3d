using Microsoft.AspNetCore.Antiforgery;
using Microsoft.AspNetCore.Components.Authorization;
using Microsoft.AspNetCore.Components.Server.Circuits;
using Microsoft.AspNetCore.Identity;

namespace FineTuneStudio.Accounts;

public static class AccountsSlice
{
    public static void AddAccounts(this WebApplicationBuilder builder)
    {
        var services = builder.Services;
        services.AddCascadingAuthenticationState();
        services.AddHttpContextAccessor();
        services.AddScoped<CurrentUser>();
        services.AddScoped<CircuitHandler, CurrentUserCircuit>();
        services.AddScoped<AuthenticationStateProvider, RevalidatingUser>();
        services.AddAuthentication(o => { o.DefaultScheme = IdentityConstants.ApplicationScheme; o.DefaultSignInScheme = IdentityConstants.ExternalScheme; }).AddIdentityCookies();
        services.AddAuthorization();
        services.AddIdentityCore<StudioUser>(o =>
            {
                o.User.RequireUniqueEmail = true;
                o.Password.RequiredLength = 10;
                o.Password.RequireDigit = o.Password.RequireLowercase = o.Password.RequireUppercase = o.Password.RequireNonAlphanumeric = false;
                o.Password.RequiredUniqueChars = 5;
                o.User.AllowedUserNameCharacters = ""; // the name is the e-mail, and RequireUniqueEmail checks that
                o.Lockout.MaxFailedAccessAttempts = 5;
                o.Lockout.DefaultLockoutTimeSpan = TimeSpan.FromMinutes(15);
            })
            .AddEntityFrameworkStores<StudioDb>()
            .AddSignInManager()
            .AddClaimsPrincipalFactory<StudioClaims>()
            .AddErrorDescriber<StudioErrors>()
            .AddDefaultTokenProviders();
        services.ConfigureApplicationCookie(o =>
        {
            o.LoginPath = "/account/sign-in";
            o.LogoutPath = "/account/sign-out";
            o.AccessDeniedPath = "/not-here/403";
            o.ReturnUrlParameter = "returnUrl";
            o.Cookie.Name = "fts-sign-in";
            o.Cookie.HttpOnly = true;
            o.Cookie.SameSite = SameSiteMode.Lax;
            o.ExpireTimeSpan = TimeSpan.FromDays(14);
            // Nothing but a sign-in, or a change that a person makes to their account, writes the cookie. Every request is held against the account, which would also write it anew each time, and
            // so would a sliding end: the answer to a request that was on its way during a sign-out would then sign the person in again.
            o.SlidingExpiration = false;
            o.Events.OnValidatePrincipal = async context =>
            {
                await SecurityStampValidator.ValidatePrincipalAsync(context);
                context.ShouldRenew = false;
            };
        });
        services.Configure<SecurityStampValidatorOptions>(o => o.ValidationInterval = TimeSpan.Zero);
        services.AddSingleton<SetupCode>();
        services.AddScoped<CreateFirstAccount>();
        services.AddScoped<AccountAccess>();
        services.AddScoped<CheckPassword>();
        services.AddScoped<CheckSecondStep>();
        services.AddScoped<EditAccount>();
        services.AddScoped<SetUpSecondStep>();
        services.AddScoped<ManagePeople>();
        services.AddScoped<ResetPassword>();
    }

    public static void MapAccounts(this WebApplication app)
    {
        app.MapPost("/account/sign-out", async (HttpContext context, IAntiforgery antiforgery, SignInManager<StudioUser> signIn) =>
        {
            if (!await antiforgery.IsRequestValidAsync(context)) return Results.Text("This page is too old to sign out from. Load it again, then sign out.", statusCode: StatusCodes.Status400BadRequest);
            await signIn.SignOutAsync();
            return Results.LocalRedirect("~/account/sign-in");
        }).WithMetadata(new OpenAttribute(OpenTo.Anyone, "ends only the caller's own sign-in; antiforgery token required"));
    }
}
