using FineTuneStudio.Accounts;

namespace FineTuneStudio.Projects;

public static class ProjectGate
{
    /// Answers 404 to strangers and 403 to lower roles before any page or endpoint of a project runs. The use cases check again.
    public static void UseProjectGate(this WebApplication app) => app.Use(async (context, next) =>
    {
        context.RequestServices.GetRequiredService<CurrentUser>().Set(context.User);
        if (context.GetEndpoint()?.Metadata.GetMetadata<NeedsAttribute>() is { } needs)
            try
            {
                await context.RequestServices.GetRequiredService<ProjectAccess>()
                    .Require(context.GetRouteValue("project") as string ?? "", needs.Permission, context.RequestAborted);
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
}
