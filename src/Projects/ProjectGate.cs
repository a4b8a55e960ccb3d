using FineTuneStudio.Accounts;

namespace FineTuneStudio.Projects;

public static class ProjectGate
{
    /// Answers 404 to strangers and 403 to lower roles before any page or endpoint runs, as its Needs or Open says. The use cases check again.
    public static void UseProjectGate(this WebApplication app) => app.Use(async (context, next) =>
    {
        context.RequestServices.GetRequiredService<CurrentUser>().Set(context.User);
        try
        {
            await Check(context);
        }
        catch (AccessDenied denied)
        {
            if (denied.Denial == Denial.SignIn && HttpMethods.IsGet(context.Request.Method) && !context.Request.Path.StartsWithSegments("/api"))
            {
                context.Response.Redirect("/account/sign-in?returnUrl=" + Uri.EscapeDataString(context.Request.Path + context.Request.QueryString));
                return;
            }
            context.Response.StatusCode = denied.Denial switch { Denial.SignIn => 401, Denial.RoleMissing => 403, _ => 404 };
            if (context.Request.Path.StartsWithSegments("/api")) await context.Response.WriteAsync(denied.Message);
            return;
        }
        await next(context);
    });

    private static async Task Check(HttpContext context)
    {
        var endpoint = context.GetEndpoint();
        if (endpoint?.Metadata.GetMetadata<NeedsAttribute>() is { } needs)
            await context.RequestServices.GetRequiredService<ProjectAccess>()
                .Require(context.GetRouteValue("project") as string ?? "", needs.Permission, context.RequestAborted);
        var account = context.RequestServices.GetRequiredService<AccountAccess>();
        switch (endpoint?.Metadata.GetMetadata<OpenAttribute>()?.Whom)
        {
            case OpenTo.SignedIn: await account.RequireSignedIn(context.RequestAborted); break;
            case OpenTo.Administrator: await account.RequireAdministrator(context.RequestAborted); break;
        }
    }
}
