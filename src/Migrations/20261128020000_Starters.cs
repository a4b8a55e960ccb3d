using Microsoft.EntityFrameworkCore.Migrations;

#nullable disable

namespace FineTuneStudio.src.Migrations
{
    /// <inheritdoc />
    public partial class Starters : Migration
    {
        /// <inheritdoc />
        protected override void Up(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.RenameColumn(
                name: "IsPractice",
                table: "BaseModels",
                newName: "IsStarter");
            // A practice model was none.
            migrationBuilder.Sql("UPDATE BaseModels SET IsStarter = 0");
        }

        /// <inheritdoc />
        protected override void Down(MigrationBuilder migrationBuilder)
        {
            migrationBuilder.Sql("UPDATE BaseModels SET IsStarter = 0");
            migrationBuilder.RenameColumn(
                name: "IsStarter",
                table: "BaseModels",
                newName: "IsPractice");
        }
    }
}
